"""The contract of a balancing method: a pure map from signals and state to task weights.

Every method maps what a step shows (losses L ∈ ℝᵀ, Gramian G = J·Jᵀ ∈ ℝᵀˣᵀ of the per-task gradients on the
shared parameters, its own state) to weights w ∈ ℝᵀ; the update direction is d = Jᵀ·w. Methods that project
gradients are linear in the rows of J, so they run on coefficients with G alone. State is a value that goes in and
comes out, and randomness comes from a generator that is passed in: a checkpoint needs nothing else to resume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Need = Literal["norms", "gramian"]
Space = Literal["last_shared", "all_shared"]
Scope = Literal["loss", "shared"]
State = dict[str, Tensor]
"""Named tensors; what `torch.save` keeps and `weights_only=True` loads."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What one step shows a method. All tensors are float64, detached; `...` are leading batch dimensions.

    Args:
        losses: [..., T] task losses, as weighted by the methods before this one in a chain.
        active: [..., T] bool; False for a task that this step has no data of. Its other entries are meaningless.
        norms: [..., T] ‖∇Lᵢ‖ on the method's `space`, if it declares the need for `norms`.
        gramian: [..., T, T] inner products gᵢ·gⱼ on the method's `space`, if it declares the need for `gramian`.
    """

    losses: Tensor
    active: Tensor
    norms: Tensor | None = None
    gramian: Tensor | None = None


class Balancer(Protocol):
    """One method.

    Attributes:
        needs: what it must see besides the losses; the engine computes no more than that.
        space: where `needs` are measured.
        scope: what its weights act on: the whole `loss` of a task (its own parameters too), or only the gradient
            on the `shared` parameters (the task's own parameters then follow their own loss).
    """

    needs: frozenset[Need]
    space: Space
    scope: Scope

    def init(self, tasks: int) -> State:
        """Return the state before the first step of `tasks` tasks."""
        ...

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Tensor, State]:
        """Return weights [..., T] for this step (0 for inactive tasks) and the state for the next one."""
        ...


class TaskGradients(Protocol):
    """One step's losses and per-task gradients, however a problem computes them.

    Attributes:
        tasks: the T task names.
        losses: [T] float64 mean losses, detached.
        active: [T] bool.
    """

    tasks: tuple[str, ...]
    losses: Tensor
    active: Tensor

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        ...

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`."""
        ...

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and ownᵢ·∇Lᵢ (a task's own parameters) into `.grad`."""
        ...
