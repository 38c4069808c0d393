"""How long a run will take, from timing its first updates on this machine."""

from __future__ import annotations

import time
from typing import Final

from mtctl.balancing.build import build as build_chain
from mtctl.engine.fit import Balancing, fit
from mtctl.engine.processor import use_one_thread
from mtctl.engine.signals import SignalLog
from mtctl.problems.build import build as build_problem
from mtctl.problems.contract import Record
from mtctl.recipes.recipe import Recipe

_UPDATES: Final = 300
# Where updates are rare: environment steps before the clock starts without one, and until it stops.
_STEPS: Final = 3_000
# A lander that learns plays about 95 steps per episode at first and 150 to 450 later: 420 over the published
# runs.
_STEPS_PER_EPISODE: Final = (150, 450)


class _Stopwatch:
    """Notes when the first unit with updates ended, and every one after it."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int, int]] = []

    def unit_ended(self, record: Record) -> None:
        if record["updates"] or record["environment_steps"] >= _STEPS:
            self.marks.append((time.perf_counter(), record["environment_steps"], record["updates"]))

    def enough(self) -> bool:
        if len(self.marks) < 2:
            return False
        (_, steps_before, updates_before), (_, steps, updates) = self.marks[0], self.marks[-1]
        return updates - updates_before >= _UPDATES or steps - steps_before >= _STEPS

    def seconds_per_step(self) -> float:
        (first, steps_before, _), (last, steps, _) = self.marks[0], self.marks[-1]
        return (last - first) / (steps - steps_before)


def seconds_per_run(recipe: Recipe) -> tuple[float, float]:
    """Return a low and a high estimate: measured seconds per step × episodes × short or long episodes."""
    use_one_thread()
    replay = recipe.agent.replay.model_copy(update={"learning_starts": 1})
    agent = recipe.agent.model_copy(update={"replay": replay, "per_task": {}})
    problem = build_problem(recipe.model_copy(update={"agent": agent}), 0)
    units, problem.units = problem.units, 1_000_000
    balancing = Balancing(build_chain(recipe.chain, problem.tasks), len(problem.tasks), 0)
    watch = _Stopwatch()
    fit(problem, balancing, SignalLog(problem.tasks, shared=True), [watch], watch.enough)
    low, high = (watch.seconds_per_step() * units * steps for steps in _STEPS_PER_EPISODE)
    return low, high
