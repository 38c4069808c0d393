"""The loop. Every problem, every method, `train` and every trial pass through it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mtctl.balancing.chain import Chain, Decision
from mtctl.balancing.contract import NonFiniteSignal, SignalError
from mtctl.balancing.draws import Draws
from mtctl.balancing.gradients.scaled import Overflow
from mtctl.balancing.task_gradients import TaskGradients
from mtctl.engine.interrupt import Stopped
from mtctl.engine.layout import LARGEST
from mtctl.engine.signals import SignalLog
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.contract import Cause, Explaining, HalfPrecision, Problem, Record, SeedList

_REMEDY: Final = "try a smaller learning rate, `gradient_clip: 10` or a Huber loss"


class Observer(Protocol):
    """Sees every record at the end of its unit; cannot change the training."""

    def unit_ended(self, record: Record) -> None: ...


@runtime_checkable
class UpdateObserver(Protocol):
    """An observer that also sees the ends of updates."""

    def update_ended(self) -> None: ...


class Wait(Enum):
    """Where runs that are trained together wait for each other: what comes next is done for all at once."""

    GRADIENTS = "every run has its batch"
    WEIGHTS = "every run has its tasks' losses"
    UPDATE = "every run has its combined gradient"


class Balancing:
    """A chain of methods with its state and its own random stream.

    Args:
        chain: the methods.
        tasks: their names.
        seed: the run's seed.
    """

    def __init__(self, chain: Chain, tasks: tuple[str, ...], seed: int) -> None:
        self._chain = chain
        self._state = chain.init(tasks)
        self._rng = torch.Generator().manual_seed(seed)
        self._draws = Draws(self._rng)

    def balance(self, gradients: TaskGradients) -> Decision:
        """Return this step's weights and move the methods' state on."""
        decision, self._state = self._chain.balance(gradients, self._state, self._draws)
        return decision

    def follow(self, gradients: TaskGradients, decision: Decision, revisit: Callable[[], Tensor]) -> None:
        """Show the methods that want to see it what the step did to the losses of its batch.

        Args:
            gradients: of the step that has been made.
            decision: its weights.
            revisit: returns the batch's losses [T] as they are now; called only if a method wants them.
        """
        if decision.wants_outcome:
            self._state = self._chain.follow(gradients, revisit(), decision, self._state)

    def state_dict(self) -> dict[str, Any]:
        return {"state": self._state, "rng": self._rng.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        stored = dict(state["state"])
        own, found = _layout(self._state), _layout(stored)
        for name in own | found:
            if own.get(name) != found.get(name):
                raise ValueError(f"{name} is {found.get(name, 'missing')}, not {own.get(name, 'known')}")
        self._state = stored
        self._rng.set_state(state["rng"])


def _layout(state: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        for name, value in state.items()
    }


class Diverged(MtctlError):  # noqa: N818 - named after what happened
    """A loss or gradient that is not finite.

    Args:
        task: whose it is; None for what belongs to no task.
        place: where in the run.
        found: what was found, e.g. "loss nan"; without a task, a sentence.
        cause: why, where that is known: what it found then takes the place of `found`.
    """

    def __init__(self, task: str | None, place: str, found: str, cause: Cause | None = None) -> None:
        known = cause is not None and cause.found is not None
        found = cause.found if cause is not None and cause.found is not None else found
        super().__init__(
            f"{'' if known else 'diverged in '}{place}: "
            f"{found if task is None else f'task `{task}` has {found}'}",
            hint=f"the last good checkpoint is kept; {_REMEDY if cause is None else cause.remedy}",
            code=ExitCode.FAILED,
        )
        self.task = task
        self.facts = {"found": found, "place": place} | ({} if task is None else {"task": task})


def cause_of(problem: Problem, task: str | None, split: SeedList | None = None) -> Cause | None:
    """Return why figures are not finite, where the problem knows it."""
    return problem.cause(task, split) if isinstance(problem, Explaining) else None


def fit(
    problem: Problem,
    balancing: Balancing,
    signals: SignalLog,
    observers: Sequence[Observer],
    stop: Callable[[], object] = lambda: False,
    leave: Callable[[], bool] = lambda: False,
) -> None:
    """Train one run by itself: see `steps`, which takes the same and raises the same."""
    for _ in steps(problem, balancing, signals, observers, stop, leave):
        pass  # nobody else is waited for


def steps(
    problem: Problem,
    balancing: Balancing,
    signals: SignalLog,
    observers: Sequence[Observer],
    stop: Callable[[], object] = lambda: False,
    leave: Callable[[], bool] = lambda: False,
) -> Iterator[Wait]:
    """Train until the problem's units are done, or until `stop` says so at the end of a unit.

    Args:
        problem: what is trained.
        balancing: how its tasks share.
        signals: collects what is recorded of every update.
        observers: see the records; an `UpdateObserver` also the end of each update.
        stop: asked at the end of each unit.
        leave: asked before each step, whether to end in the midst of a unit.

    A step whose scaled gradients overflow is skipped: neither parameters nor methods move.

    Yields:
        Each `Wait` of each step, in their order, also where there is nothing to learn from yet.

    Raises:
        Stopped: `leave` says so; nothing has been left half done, and the unit is not complete.
        Diverged: a task's loss or gradient is not finite; nothing of that step has been applied (unless a
            method wants to see the losses after it, and one of these is not finite).
    """
    after_update = [each.update_ended for each in observers if isinstance(each, UpdateObserver)]
    while problem.done < problem.units:
        if leave():
            raise Stopped
        record = problem.advance()
        unit = problem.done + (record is None)
        yield Wait.GRADIENTS
        gradients = problem.gradients()
        if gradients is not None:
            _refuse_losses(gradients, problem, unit)
        yield Wait.WEIGHTS
        decision = None if gradients is None else _combined(gradients, balancing, signals, problem, unit)
        yield Wait.UPDATE
        if gradients is not None and decision is not None:
            problem.update()
            with _placed(gradients, problem, unit):
                balancing.follow(gradients, decision, problem.revisit)
            for update_ended in after_update:
                update_ended()
        if record is not None:
            _refuse_figures(record, problem)
            record["updates"] = problem.budget()["updates"]
            record["signals"] = signals.flush()
            for observer in observers:
                observer.unit_ended(record)
            if stop():
                return


def _combined(
    gradients: TaskGradients, balancing: Balancing, signals: SignalLog, problem: Problem, unit: int
) -> Decision | None:
    """Weigh the tasks and combine their gradients; None where these overflow, and the step is skipped."""
    before = balancing.state_dict()
    try:
        with _placed(gradients, problem, unit):
            decision = balancing.balance(gradients)
        gradients.combine(decision.shared, decision.own)
        _refuse_gradients(gradients, problem, unit)
        signals.add(gradients, decision, problem.budget()["updates"])
    except Overflow as error:
        balancing.load_state_dict(before)
        if isinstance(problem, HalfPrecision) and problem.skip():
            return None
        bad = [gradients.tasks[task] for task in error.gradients.overflowing()]
        found = f"gradients that are not finite, even with losses scaled by {error.gradients.scale:.0e}"
        task, text = (bad[0], found) if bad else (None, f"the tasks' sum has {found}")
        raise Diverged(task, place_of(problem, unit), text, cause_of(problem, None)) from error
    return decision


def _refuse_losses(gradients: TaskGradients, problem: Problem, unit: int) -> None:
    for task, loss in zip(gradients.tasks, gradients.losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise Diverged(task, place_of(problem, unit), f"loss {loss:g}", cause_of(problem, task))
    if gradients.auxiliary is not None and not math.isfinite(gradients.auxiliary):
        found = f"the auxiliary loss is {gradients.auxiliary.item():g}"
        raise Diverged(None, place_of(problem, unit), found)


def _refuse_gradients(gradients: TaskGradients, problem: Problem, unit: int) -> None:
    if gradients.finite():
        return
    losses, norms = gradients.losses.tolist(), gradients.norms("all_shared").tolist()
    bad = [place for place, norm in enumerate(norms) if not math.isfinite(norm)]
    if not bad and gradients.auxiliary is not None:
        found = f"the combined gradient is not finite, auxiliary loss {gradients.auxiliary.item():g}"
        raise Diverged(None, place_of(problem, unit), found)
    worst = bad[0] if bad else max(range(len(losses)), key=losses.__getitem__)
    found = f"loss {losses[worst]:g}, gradient norm {norms[worst]:g}"
    raise Diverged(gradients.tasks[worst], place_of(problem, unit), found)


def _refuse_figures(record: Record, problem: Problem) -> None:
    for task, figures in record["tasks"].items():
        for name, figure in figures.items():
            if not isinstance(figure, str) and not abs(figure) < LARGEST:
                raise Diverged(task, place_of(problem, problem.done), f"{name} {figure:g}")


@contextmanager
def _placed(gradients: TaskGradients, problem: Problem, unit: int) -> Iterator[None]:
    """Say of signals that a method cannot work with which task's they are, and where."""
    try:
        yield
    except NonFiniteSignal as error:
        raise Diverged(gradients.tasks[error.task], place_of(problem, unit), error.problem) from error
    except SignalError as error:
        raise MtctlError(
            f"{place_of(problem, unit)}: task `{gradients.tasks[error.task]}`: {error.problem}",
            hint="the last good checkpoint is kept; `balancer: {kind: equal}` works with any loss",
            code=ExitCode.FAILED,
        ) from error
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        losses = ", ".join(f"{loss:.3g}" for loss in gradients.losses.tolist())
        raise MtctlError(
            f"{place_of(problem, unit)}: the balancing method cannot work with losses of {losses} ({error})",
            hint="the last good checkpoint is kept; `balancer: {kind: equal}` works with any loss",
            code=ExitCode.FAILED,
        ) from error


def place_of(problem: Problem, unit: int) -> str:
    """Return where a problem is, as an error tells it."""
    budget = problem.budget()
    return f"{problem.unit} {unit}, step {budget.get('environment_steps', budget['updates'])}"
