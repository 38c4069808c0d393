"""One training of a diagnosis of what is played: in memory, through the engine's loop, scored at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from statistics import stdev
from typing import Any, Final

from mtctl.balancing.chain import Chain
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.report import Finding
from mtctl.engine.fit import Balancing, Diverged, fit
from mtctl.engine.signals import SignalLog
from mtctl.errors import MtctlError
from mtctl.problems.contract import Problem, TaskEvaluation
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.recipe import Recipe
from mtctl.statistics import mean_of

_SMOOTHED: Final = 10
"""Returns of a task in training that a mean is over: single episodes deviate by 100."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to train, and what is wanted of it.

    Args:
        recipe: its units are the budget.
        seed: of the run.
        episodes: of each task that score the final policy, two or more; 0: it is not scored.
        deadline: of `time.monotonic`, which is the same in all processes, after which the training ends with
            its unit; None: there is none.
        records: whether what was recorded is kept.
    """

    recipe: Recipe
    seed: int
    episodes: int = 0
    deadline: float | None = None
    records: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a training.

    Args:
        done: units.
        updates: made.
        environment_steps: played.
        complete: whether it came to the end of its budget.
        returns: mean return of the final policy, by what is scored; nothing where it was not scored.
        untrained: the same of the policy before the first update.
        errors: standard errors of `returns`.
        outcomes: how its episodes ended, by what is scored.
        course: environment steps so far and return, of each record of training that has one, by what is
            scored.
        records: of units, if they were asked for.
        failure: why there is no score: the training diverged, or cannot be made.
        findings: that a training which diverged is one.
    """

    done: int
    updates: int
    environment_steps: int
    complete: bool
    returns: Mapping[str, float] = field(default_factory=dict)
    untrained: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    outcomes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    course: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    records: tuple[Mapping[str, Any], ...] = ()
    failure: str = ""
    findings: tuple[Finding, ...] = ()

    def steps_to(self, task: str, value: float) -> float | None:
        """Return the environment steps until a task's returns in training reached a value; None: never."""
        course = self.course.get(task, ())
        for end in range(1, len(course) + 1):
            latest = [score for _, score in course[max(0, end - _SMOOTHED) : end]]
            if end >= min(_SMOOTHED, len(course)) and mean_of(latest) >= value:
                return float(course[end - 1][0])
        return None


class _Recorder:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def unit_ended(self, record: dict[str, Any]) -> None:
        self.records.append(record)


def play(order: Order) -> Played:
    """Train, and score the final policy."""
    try:
        problem = build_problem(order.recipe, order.seed)
    except MtctlError as error:
        return Played(0, 0, 0, complete=False, failure=error.message)
    untrained = _means(_scored(problem, order.episodes))
    recorder, failure = _Recorder(), ""
    findings: tuple[Finding, ...] = ()
    try:
        _train(order, problem, recorder)
    except Diverged as error:
        failure = error.message
        findings = (Finding(Code.DIVERGED, error.task, "error", "certain", error.message),)
    except MtctlError as error:
        failure = error.message
    budget = problem.budget()
    complete = problem.done >= problem.units and not failure
    scored = _scored(problem, order.episodes if complete else 0)
    return Played(
        problem.done,
        budget["updates"],
        budget.get("environment_steps", 0),
        complete,
        _means(scored),
        untrained,
        {task: stdev(one.scores) / sqrt(len(one.scores)) for task, one in scored.items()},
        {task: tuple(one.outcomes or ()) for task, one in scored.items()},
        {task: tuple(_course(recorder.records, task)) for task in problem.scored},
        tuple(recorder.records) if order.records else (),
        failure,
        findings,
    )


def _train(order: Order, problem: Problem, recorder: _Recorder) -> None:
    recipe = order.recipe
    shared = problem.parameter_count().shared > 0
    log = SignalLog(problem.tasks, shared=shared, every=recipe.monitor.every, inspect=problem.inspect)
    balancing = Balancing(Chain(recipe.chain), problem.tasks, order.seed)

    def late() -> bool:
        return order.deadline is not None and time.monotonic() > order.deadline

    fit(problem, balancing, log, [recorder], late)


def _scored(problem: Problem, episodes: int) -> dict[str, TaskEvaluation]:
    return problem.evaluate(episodes, "held_out") if episodes else {}


def _means(scored: Mapping[str, TaskEvaluation]) -> dict[str, float]:
    return {task: mean_of(one.scores) for task, one in scored.items()}


def _course(records: list[dict[str, Any]], task: str) -> list[tuple[int, float]]:
    return [
        (record["environment_steps"], record["tasks"][task]["return"])
        for record in records
        if "return" in record["tasks"].get(task, {})
    ]
