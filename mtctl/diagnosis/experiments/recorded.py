"""Diagnosing a recipe by one training: some units go through the engine's loop, and their records are judged.

Where counterfactual trainings take hours, causes stay what signals show, and remedies are not tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from mtctl.balancing.chain import Chain
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.run import diagnose_history
from mtctl.diagnosis.report import Check, Diagnosis, Finding, Subject
from mtctl.engine.fit import Balancing, Diverged, fit
from mtctl.engine.signals import SignalLog
from mtctl.history.history import observed_history
from mtctl.problems.contract import Problem
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.recipe import Recipe

_EXPENSIVE: Final = (
    "each would train for hundreds of {}s: compare recipes with `mtctl train` and `mtctl compare` instead"
)


class _Recorder:
    """Keeps the records of a run, and says how far it is."""

    def __init__(self, problem: Problem, say: Callable[[str], None]) -> None:
        self.records: list[dict[str, Any]] = []
        self._problem, self._say = problem, say

    def unit_ended(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        if len(self.records) % 10 == 0:
            self._say(f"{self._problem.unit} {len(self.records)}/{self._problem.units}")


def diagnose_by_records(
    recipe: Recipe, *, seeds: Sequence[int], seconds: float | None, say: Callable[[str], None]
) -> Diagnosis:
    """Train the recipe's units from the first seed, in memory, and judge what they recorded.

    Args:
        recipe: its units are the budget.
        seeds: the first is used.
        seconds: after which the training stops at the end of a unit.
        say: gets a line about what is being done.
    """
    began = time.monotonic()
    problem = build_problem(recipe, seeds[0])
    tasks = problem.tasks
    balancing = Balancing(Chain(recipe.chain), tasks, seeds[0])
    shared = problem.parameter_count().shared > 0
    log = SignalLog(tasks, shared=shared, every=recipe.monitor.every, inspect=problem.inspect)
    recorder = _Recorder(problem, say)
    found: list[Finding] = []
    try:
        fit(
            problem,
            balancing,
            log,
            [recorder],
            lambda: seconds is not None and time.monotonic() - began > seconds,
        )
    except Diverged as error:
        found.append(Finding(Code.DIVERGED, error.task, "error", "certain", error.message))
    subject = Subject(
        "recipe",
        recipe.name,
        recipe.problem.kind,
        problem.unit,
        problem.done,
        problem.budget()["updates"],
        (seeds[0],),
        tasks,
    )
    judged = diagnose_history(observed_history(recorder.records, tasks, recipe.scored), subject)
    left_out = [Check("experiments and remedies", "not_run", _EXPENSIVE.format(problem.unit))]
    if problem.done < problem.units:
        left_out.append(
            Check(
                "the rest of the budget",
                "not_run",
                f"stopped after {problem.done} of {problem.units} {problem.unit}s",
            )
        )
    return replace(
        judged,
        findings=(*found, *judged.findings),
        checks=(*judged.checks, *left_out),
        seconds=time.monotonic() - began,
    )
