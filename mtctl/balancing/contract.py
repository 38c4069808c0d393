"""The contract of a balancing method: a pure map from signals and state to task weights.

Every method maps what a step shows (losses L ∈ ℝᵀ, Gramian G = J·Jᵀ ∈ ℝᵀˣᵀ of the per-task gradients on the
shared parameters, its own state) to weights w ∈ ℝᵀ; the update direction is d = Jᵀ·w. Methods that project
gradients are linear in the rows of J, so they run on coefficients with G alone. State is a value that goes
in and comes out, and randomness comes from a generator that is passed in: a checkpoint needs nothing else.

The algebra is NumPy, float64, over any leading batch dimensions `...` (seeds, say): on a handful of numbers a
NumPy call costs a quarter of a torch call, also where the network is on a GPU and T×T numbers are fetched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtctl.errors import ExitCode, MtctlError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Need = Literal["norms", "gramian", "outcome"]
Space = Literal["last_shared", "all_shared", "features"]
Scope = Literal["loss", "shared"]
State = dict[str, Array]
"""A method's memory: named arrays, [..., T] each, or [..., T·T] for what belongs to pairs."""

NOT_ASKED: Array = np.empty(0)
"""In place of a signal that a method does not need."""


class SignalError(ValueError):
    """A signal that a method cannot work with. Callers that know the task's name and the step add them.

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
            hint="tasks whose gradients nearly depend on each other cause this; pcgrad needs no minimisation",
            code=ExitCode.FAILED,
        )


@dataclass(frozen=True, slots=True)
class Signals:
    """What one step shows a method: as made by `observe`, finite, and 0 for inactive tasks.

    Args:
        losses: [..., T] task losses, as weighted by the problem and the methods before this one in a chain.
        active: [..., T]; False for a task that this step has no data of.
        norms: [..., T] ‖∇Lᵢ‖ on the method's `space`; NOT_ASKED without a need for `norms`.
        gramian: [..., T, T] inner products gᵢ·gⱼ on the method's `space`; NOT_ASKED without a need for it.
    """

    losses: Array
    active: Mask
    norms: Array
    gramian: Array


def observe(losses: Array, active: Mask, norms: Array = NOT_ASKED, gramian: Array = NOT_ASKED) -> Signals:
    """Return signals whose entries of inactive tasks are 0, whatever they were. Shapes as in `Signals`.

    Raises:
        NonFiniteSignal: an active task's loss, norm or inner product is NaN or infinite.
    """
    if not np.logical_and.reduce(active, axis=None):
        losses = np.where(active, losses, 0.0)
        norms = np.where(active, norms, 0.0) if norms.size else norms
        pairs = active[..., :, None] & active[..., None, :]
        gramian = np.where(pairs, gramian, 0.0) if gramian.size else gramian
    _refuse_non_finite(losses, "its loss is not finite")
    if norms.size:
        _refuse_non_finite(norms, "its gradient is not finite")
    if gramian.size and not np.logical_and.reduce(np.isfinite(gramian), axis=None):
        # A bad gradient spoils its task's row and column; only the diagonal tells whose it is.
        _refuse_non_finite(np.diagonal(gramian, axis1=-2, axis2=-1), "its gradient is not finite")
        _refuse_non_finite(gramian, "its gradient's inner products are not finite")
    return Signals(losses, active, norms, gramian)


def _refuse_non_finite(values: Array, problem: str) -> None:
    finite = np.isfinite(values)
    if not np.logical_and.reduce(finite, axis=None):
        raise NonFiniteSignal(int(finite.reshape(-1, values.shape[-1]).all(0).argmin()), problem)


class Balancer(ABC):
    """One method: a frozen dataclass of its settings.

    Attributes:
        needs: what it must see besides the losses; no more than that is computed. `outcome` is what the step
            does to the losses of its batch: see `follow`.
        space: where `needs` are measured.
        scope: what its weights act on: the whole `loss` of a task (its own parameters too), or only the
            gradient on the `shared` parameters (the task's own parameters then follow their own loss).
        averages_gradients: whether its state holds averages of norms or angles, which mean nothing once they
            are measured on other parameters.
    """

    needs: frozenset[Need] = frozenset()
    space: Space = "all_shared"
    scope: Scope = "loss"
    averages_gradients: bool = False

    def init(self, tasks: int) -> State:
        """Return the state before the first step of `tasks` tasks: arrays [T] or [T·T]."""
        return {}

    def parameters(self, tasks: int) -> int:
        """Return how many numbers the method learns for `tasks` tasks."""
        return 0

    def asks(self, active: Mask, state: State) -> frozenset[Need]:
        """Return what `weigh` will look at in a step with these active tasks: `needs`, or less."""
        return self.needs

    @abstractmethod
    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        """Return weights [..., T] for this step (0 for inactive tasks) and the state for the next one.

        Nothing that comes in is changed. `rng` is the only source of randomness.
        """

    def follow(self, before: Array, after: Array, active: Mask, state: State) -> State:
        """Return the state after the step, for methods that need its `outcome`; nothing is changed.

        Args:
            before: [..., T] the losses that `weigh` saw.
            after: [..., T] the losses of the same batch once the step is made, weighted in the same way.
            active: [..., T]; losses of inactive tasks mean nothing.
            state: as `weigh` returned it.
        """
        return state


class Shown(Protocol):
    """What one step shows of its losses and per-task gradients; computed when it is asked for.

    Numbers of tasks, [T] and [T, T], may be on any device; methods get copies of them in main memory.

    Attributes:
        losses: [T] float64 mean losses Lᵢ, detached.
        active: [T] bool.
        importance: [T] float64 aᵢ > 0 of active tasks, what the problem multiplies Lᵢ by in the sum Σ aᵢ·Lᵢ
            that it minimises before anybody balances: 1, or a task's share of the rows of a mixed batch.
            Losses, norms and inner products are those of Lᵢ; a method sees them times a.
    """

    losses: Tensor
    active: Tensor
    importance: Tensor

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        ...

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`."""
        ...


class TaskGradients(Shown, Protocol):
    """One step's losses and per-task gradients, however a problem computes them.

    Attributes:
        tasks: the T task names.
        auxiliary: the value of a loss A that is optimised and belongs to no task, such as a critic's; None if
            there is none. Its gradient is added as it is: no method sees or weighs it.
    """

    tasks: tuple[str, ...]
    auxiliary: Tensor | None

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ aᵢ·sharedᵢ·∇Lᵢ + ∇A (shared parameters) and aᵢ·ownᵢ·∇Lᵢ + ∇A (a task's own) into `.grad`.

        Parameters that only A reaches get ∇A. The weights [T] are in main memory.
        """
        ...

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        ...

    def finite(self) -> bool:
        """Say whether the combined gradient is finite, without further passes."""
        ...
