"""The contract of a balancing method: a pure map from signals and state to task weights.

Every method maps what a step shows (losses L ∈ ℝᵀ, Gramian G = J·Jᵀ ∈ ℝᵀˣᵀ of the per-task gradients on the
shared parameters, its own state) to weights w ∈ ℝᵀ; the update direction is d = Jᵀ·w. Methods that project
gradients are linear in the rows of J, so they run on coefficients with G alone. State is a value that goes in and
comes out, and randomness comes from a generator that is passed in: a checkpoint needs nothing else to resume.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from mtctl.errors import ExitCode, MtctlError

Need = Literal["norms", "gramian"]
Space = Literal["last_shared", "all_shared"]
Scope = Literal["loss", "shared"]
State = dict[str, Tensor]
"""Named tensors; what `torch.save` keeps and `weights_only=True` loads."""


class SignalError(ValueError):
    """A signal that no method, or not this one, can work with. Who knows the task's name and the step adds them.

    Args:
        task: index of the (first) task concerned.
        problem: what is wrong, e.g. "its loss is not finite".
    """

    def __init__(self, task: int, problem: str) -> None:
        super().__init__(f"task {task}: {problem}")
        self.task = task
        self.problem = problem


class NonFiniteSignal(SignalError):  # noqa: N818 - named after what was found
    """A loss or gradient that is NaN or infinite."""


class ConvergenceError(MtctlError):
    """A method's inner minimisation that did not reach its optimality conditions.

    Args:
        method: its name.
        residual: by how much the conditions are missed, dimensionless.
        tolerance: how much is allowed.
        condition: condition number of the Gramian, scaled to a unit diagonal.
    """

    def __init__(self, method: str, residual: float, tolerance: float, condition: float) -> None:
        super().__init__(
            f"{method} did not solve its minimisation: residual {residual:.1e}, allowed {tolerance:.0e}"
            f" (condition number of the tasks' gradients {condition:.1e})",
            hint="gradients that nearly depend on each other cause this; another balancer, e.g. pcgrad, needs no solver",
            code=ExitCode.FAILED,
        )


@dataclass(frozen=True, slots=True)
class Signals:
    """What one step shows a method. All tensors are float64, detached; `...` are leading batch dimensions.

    Made by `observe`: every entry is finite, and those of inactive tasks are 0.

    Args:
        losses: [..., T] task losses, as weighted by the methods before this one in a chain.
        active: [..., T] bool; False for a task that this step has no data of.
        norms: [..., T] ‖∇Lᵢ‖ on the method's `space`, if it declares the need for `norms`.
        gramian: [..., T, T] inner products gᵢ·gⱼ on the method's `space`, if it declares the need for `gramian`.
    """

    losses: Tensor
    active: Tensor
    norms: Tensor | None = None
    gramian: Tensor | None = None


def observe(
    losses: Tensor, active: Tensor, norms: Tensor | None = None, gramian: Tensor | None = None
) -> Signals:
    """Return signals whose entries of inactive tasks are 0, whatever they were. Shapes as in `Signals`.

    Raises:
        NonFiniteSignal: an active task's loss, norm or Gramian entry is NaN or infinite.
    """
    if not active.all():
        losses = losses.where(active, 0.0)
        norms = None if norms is None else norms.where(active, 0.0)
        pairs = active.unsqueeze(-1) & active.unsqueeze(-2)
        gramian = None if gramian is None else gramian.where(pairs, 0.0)
    if not _has_finite_sum(losses):
        _refuse_non_finite(losses, "its loss is not finite")
    if norms is not None and not _has_finite_sum(norms):
        _refuse_non_finite(norms, "its gradient is not finite")
    if gramian is not None and not _has_finite_sum(gramian):
        # A bad gradient spoils its task's row and column; only the diagonal tells whose it is.
        _refuse_non_finite(gramian.diagonal(dim1=-2, dim2=-1), "its gradient is not finite")
        _refuse_non_finite(gramian, "its gradient's inner products are not finite")
    return Signals(losses, active, norms, gramian)


def _has_finite_sum(values: Tensor) -> bool:
    # A quarter of the price of isfinite().all(); finite values whose sum overflows pass the second look.
    return math.isfinite(values.sum().item())


def _refuse_non_finite(values: Tensor, problem: str) -> None:
    bad = (~values.isfinite()).reshape(-1, values.shape[-1]).any(0)
    if bad.any():
        raise NonFiniteSignal(int(bad.nonzero()[0].item()), problem)


class Balancer(ABC):
    """One method: a frozen dataclass of its settings.

    Attributes:
        needs: what it must see besides the losses; no more than that is computed.
        space: where `needs` are measured.
        scope: what its weights act on: the whole `loss` of a task (its own parameters too), or only the gradient
            on the `shared` parameters (the task's own parameters then follow their own loss).
    """

    needs: frozenset[Need] = frozenset()
    space: Space = "all_shared"
    scope: Scope = "loss"

    def init(self, tasks: int) -> State:
        """Return the state before the first step of `tasks` tasks; entries are [T]."""
        return {}

    def parameters(self, tasks: int) -> int:
        """Return how many numbers the method learns for `tasks` tasks."""
        return 0

    @abstractmethod
    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Tensor, State]:
        """Return weights [..., T] for this step (0 for inactive tasks) and the state for the next one.

        Nothing that comes in is changed. `rng` is the only source of randomness.
        """


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
