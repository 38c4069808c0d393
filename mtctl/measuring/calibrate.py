"""How long a run will take, from timing its first updates on this machine."""

from __future__ import annotations

import itertools
import time
from typing import Final, NamedTuple

from mtctl.balancing.chain import Chain
from mtctl.engine.fit import Balancing, fit
from mtctl.engine.signals import SignalLog
from mtctl.problems.contract import Problem, Record
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.kinds import kind_of
from mtctl.problems.recipe import Recipe

# What is timed of a problem that is played: this many updates or, where they are rare, environment steps.
_UPDATES: Final = 300
_STEPS: Final = 3_000
# … and of one that learns from a data set.
_EPOCHS: Final = 4


class _Mark(NamedTuple):
    """The end of a unit: when, and what had been done by then."""

    moment: float
    steps: int
    updates: int


class _Stopwatch:
    """Notes when the first unit with updates ended, and every one after it."""

    def __init__(self) -> None:
        self.marks: list[_Mark] = []

    def unit_ended(self, record: Record) -> None:
        steps = record.get("environment_steps", 0)
        if record["updates"] or steps >= _STEPS:
            self.marks.append(_Mark(time.perf_counter(), steps, record["updates"]))

    def enough(self) -> bool:
        if len(self.marks) < 2:
            return False
        first, last = self.marks[0], self.marks[-1]
        if not last.steps:
            return len(self.marks) > _EPOCHS
        return last.updates - first.updates >= _UPDATES or last.steps - first.steps >= _STEPS

    def seconds_per_step(self) -> float:
        first, last = self.marks[0], self.marks[-1]
        return (last.moment - first.moment) / (last.steps - first.steps)

    def seconds_of_units(self) -> list[float]:
        return [after.moment - before.moment for before, after in itertools.pairwise(self.marks)]


def seconds_per_run(recipe: Recipe) -> tuple[float, float]:
    """Return a low and a high estimate of a run's time.

    Played: measured seconds per step × units × their steps, where these are few and where they are many.
    Otherwise: units × the fastest and the slowest that was measured, and the evaluations between them.
    """
    problem = build_problem(recipe.rehearsal, 0)
    units, problem.units = problem.units, 1_000_000
    balancing = Balancing(Chain(recipe.chain), problem.tasks, 0)
    log = SignalLog(problem.tasks, shared=True, every=recipe.monitor.every, inspect=problem.inspect)
    watch = _Stopwatch()
    fit(problem, balancing, log, [watch], watch.enough)
    if (lengths := kind_of(recipe).steps_per_unit) is not None:
        low, high = (watch.seconds_per_step() * units * steps for steps in lengths)
        return low, high
    lengths_of_units, evaluations = watch.seconds_of_units(), _seconds_of_evaluations(problem, recipe)
    return min(lengths_of_units) * units + evaluations, max(lengths_of_units) * units + evaluations


def _seconds_of_evaluations(problem: Problem, recipe: Recipe) -> float:
    during, final = recipe.evaluated
    times = recipe.units // recipe.evaluation.every if recipe.evaluation.every else 0
    start = time.perf_counter()
    problem.evaluate(during, "monitor")
    middle = time.perf_counter()
    problem.evaluate(final, "held_out")
    return (middle - start) * times + time.perf_counter() - middle
