"""The contract of a balancing method: a pure map from signals and state to task weights.

Every method maps what a step shows (losses L ∈ ℝᵀ, Gramian G = J·Jᵀ ∈ ℝᵀˣᵀ of the per-task gradients on the
shared parameters, its own state) to weights w ∈ ℝᵀ; the update direction is d = Jᵀ·w. Methods that project
gradients are linear in the rows of J, so they run on coefficients with G alone. State is a value that goes
in and comes out, and randomness comes from what is passed in: a checkpoint needs nothing else.

The algebra is NumPy, float64, over any leading dimensions `...`, those of a stack of runs: on a handful of
numbers a NumPy call costs a quarter of a torch call, also where the network is on a GPU and T×T numbers are
fetched. Each run of a stack gets, bit for bit, what it would get alone.

A method is one class in a file of its own and a line in `registry.py`; recipes, their schema, `mtctl explain`
and the tests of all methods follow from these.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from mtctl.errors import ExitCode, MtctlError
from mtctl.part import Part, PositiveInt

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Need = Literal["norms", "gramian", "outcome"]
Space = Literal["last_shared", "all_shared", "features"]
"""Where gradients are measured: on the last layer that all tasks share, on everything that they share, or on
what the heads read: the last shared layer's output instead of its parameters."""

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
            hint="nearly dependent gradients cause this; pcgrad needs no minimisation",
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
        tasks: the T task names, for settings that give one value for each task.
    """

    losses: Array
    active: Mask
    norms: Array
    gramian: Array
    tasks: tuple[str, ...] = ()

    def of(self, runs: Mask) -> Signals:
        """Return the signals of some runs of a stack; `runs` has the shape of its leading dimensions."""
        norms = self.norms[runs] if self.norms.size else self.norms
        gramian = self.gramian[runs] if self.gramian.size else self.gramian
        return Signals(self.losses[runs], self.active[runs], norms, gramian, self.tasks)


def observe(
    losses: Array,
    active: Mask,
    norms: Array = NOT_ASKED,
    gramian: Array = NOT_ASKED,
    tasks: tuple[str, ...] = (),
) -> Signals:
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
    return Signals(losses, active, norms, gramian, tasks)


def _refuse_non_finite(values: Array, problem: str) -> None:
    finite = np.isfinite(values)
    if not np.logical_and.reduce(finite, axis=None):
        raise NonFiniteSignal(int(finite.reshape(-1, values.shape[-1]).all(0).argmin()), problem)


class Random(Protocol):
    """Where methods draw: the random stream of a run, or of a stack of runs each one's own."""

    def permutations(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        """Return permutations of 0 … n − 1 along the last axis of `shape`, all equally likely."""
        ...

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Return numbers of this shape, each from N(0, 1)."""
        ...

    def of(self, runs: Mask) -> Random:
        """Return the streams of some runs of a stack; `runs` has the shape of its leading dimensions."""
        ...


def summary(method: type[Method]) -> str:
    """Return the first paragraph of a method's docstring: what it does, in one sentence."""
    return " ".join((inspect.getdoc(method) or "").split("\n\n")[0].split())


def _described_in_short(schema: dict[str, Any], method: type[Method]) -> None:
    """Leave equations and their explanation to `mtctl explain`: an editor shows a sentence."""
    schema["description"] = summary(method)


class Method(Part):
    """One balancing method: a frozen part of a recipe, selected by `kind`, that can do what it says.

    Attributes:
        needs: what it must see besides the losses; no more than that is computed. `outcome` is what the step
            does to the losses of its batch: see `follow`.
        scope: what its weights act on: the whole `loss` of a task (its own parameters too), or only the
            gradient on the `shared` parameters (the task's own parameters then follow their own loss).
        averages_gradients: whether its state holds averages of norms or angles, which mean nothing once they
            are measured on other parameters.
    """

    model_config = ConfigDict(json_schema_extra=_described_in_short)

    needs: ClassVar[frozenset[Need]] = frozenset()
    scope: ClassVar[Scope] = "loss"
    averages_gradients: ClassVar[bool] = False

    kind: str

    @property
    def space(self) -> Space:
        """Where gradients are measured: the setting `layer` of methods that look at gradients."""
        layer: Space = getattr(self, "layer", "all_shared")
        return layer

    @property
    def period(self) -> int:
        """Steps that share one set of weights: the setting `every` of methods whose weights change."""
        return 1

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Yield the name and the values of every setting that gives one value for each task, by its name."""
        for name in type(self).model_fields:
            if isinstance(values := getattr(self, name), dict):
                yield name, values

    def in_a_row(self) -> tuple[Method, ...]:
        """Return the methods that a chain carries out in its place: itself, or several in a row."""
        return (self,)

    def init(self, tasks: tuple[str, ...]) -> State:
        """Return the state before the first step of these tasks: arrays [T] or [T·T]."""
        return {}

    def parameters(self, tasks: int) -> int:
        """Return how many numbers the method learns for `tasks` tasks."""
        return 0

    def asks(self, active: Mask, state: State) -> frozenset[Need]:
        """Return what `weigh` will look at in a step with these active tasks: `needs`, or less."""
        return self.needs

    @abstractmethod
    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        """Return weights [..., T] for this step (0 for inactive tasks) and the state for the next one.

        Nothing that comes in is changed. `rng` is the only source of randomness.
        """

    def follow(self, before: Signals, after: Array, state: State) -> State:
        """Return the state after the step, for methods that need its `outcome`; nothing is changed.

        Args:
            before: the losses that `weigh` saw; nothing else is shown again.
            after: [..., T] the losses of the same batch once the step is made, weighted in the same way;
                those of inactive tasks mean nothing.
            state: as `weigh` returned it.
        """
        return state


class AdaptiveMethod(Method):
    """A method whose weights change from step to step."""

    every: PositiveInt = 1
    """Steps that share one set of weights: the method looks at every k-th step only, which spares the
    backward passes that it needs, and its windows and averages count those."""

    @property
    def period(self) -> int:
        return self.every
