"""The loop. Every problem, every method, `train` and every trial pass through it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from mtctl.balancing.chain import Chain, Decision
from mtctl.balancing.contract import SignalError, TaskGradients
from mtctl.engine.signals import SignalLog
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.contract import Problem, Record


class Observer(Protocol):
    """Sees every record at the end of its unit; cannot change the training."""

    def unit_ended(self, record: Record) -> None: ...


class Balancing:
    """A chain of methods with its state and its own random stream.

    Args:
        chain: the methods.
        tasks: T.
        seed: the run's seed.
    """

    def __init__(self, chain: Chain, tasks: int, seed: int) -> None:
        self._chain = chain
        self._state = chain.init(tasks)
        self._rng = torch.Generator().manual_seed(seed)

    def balance(self, gradients: TaskGradients) -> Decision:
        """Return this step's weights and move the methods' state on."""
        decision, self._state = self._chain.balance(gradients, self._state, self._rng)
        return decision

    def state_dict(self) -> dict[str, Any]:
        return {"state": self._state, "rng": self._rng.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._state = dict(state["state"])
        self._rng.set_state(state["rng"])


def fit(
    problem: Problem,
    balancing: Balancing,
    signals: SignalLog,
    observers: Iterable[Observer],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train until the problem's units are done, or until `stop` says so at the end of a unit.

    Raises:
        MtctlError: a task's loss or gradient is not finite; nothing of that step has been applied.
    """
    while problem.done < problem.units:
        record = problem.advance()
        gradients = problem.gradients()
        if gradients is not None:
            unit = problem.done + (record is None)
            _refuse_non_finite(gradients, problem, unit)
            with _placed(gradients, problem, unit):
                decision = balancing.balance(gradients)
            gradients.combine(decision.shared, decision.own)
            signals.add(gradients, decision)
            problem.update()
        if record is not None:
            record["updates"] = problem.budget()["updates"]
            record["signals"] = signals.flush()
            for observer in observers:
                observer.unit_ended(record)
            if stop():
                return


def _refuse_non_finite(gradients: TaskGradients, problem: Problem, unit: int) -> None:
    losses = gradients.losses.tolist()
    squared_norms = gradients.gramian("all_shared").diagonal().tolist()
    for task, loss, square in zip(gradients.tasks, losses, squared_norms, strict=True):
        if math.isfinite(loss) and math.isfinite(square):
            continue
        raise MtctlError(
            f"diverged in {_place(problem, unit)}: task `{task}` has loss {loss:g}, "
            f"squared gradient norm {square:g}",
            hint="the last good checkpoint is kept; try a smaller `agent.lr`, `agent.gradient_clip: 10` "
            "or `agent.loss: huber`",
            code=ExitCode.FAILED,
        )


@contextmanager
def _placed(gradients: TaskGradients, problem: Problem, unit: int) -> Iterator[None]:
    """Say of signals that a method cannot work with which task's they are, and where."""
    try:
        yield
    except SignalError as error:
        raise MtctlError(
            f"{_place(problem, unit)}: task `{gradients.tasks[error.task]}`: {error.problem}",
            hint="the last good checkpoint is kept; `balancer: {kind: equal}` works with any loss",
            code=ExitCode.FAILED,
        ) from error


def _place(problem: Problem, unit: int) -> str:
    return f"{problem.unit} {unit}, step {problem.budget()['environment_steps']}"
