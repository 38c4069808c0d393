"""A training that is watched: every task's skill and loss after each epoch. It can be stopped and go on.

Everything trains through the engine's one loop. Courses of recipes that differ in one thing share the seed,
and with it the data, their order, the initial weights and dropout: what differs is the effect of that thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from mtctl.balancing.chain import Chain
from mtctl.diagnosis.thresholds import (
    CERTAIN_SKILL,
    CLEARLY_LEARNED,
    FEWEST_ROWS,
    LEARNED,
    LOOKS,
    SPIKE,
)
from mtctl.engine.fit import Balancing, Diverged, fit
from mtctl.engine.scores import evaluate, refuse_non_finite
from mtctl.engine.signals import SignalLog
from mtctl.problems.contract import SeedList, TaskEvaluation
from mtctl.problems.kinds import build
from mtctl.problems.supervised.problem import Supervised
from mtctl.problems.supervised.recipe import SupervisedRecipe


@dataclass(frozen=True, slots=True)
class Point:
    """One task at one moment.

    Args:
        updates: so far.
        loss: mean validation loss, original units.
        skill: 1 − loss / loss of the best constant.
        error: standard error of the skill over the rows that it is measured on, paired with the constant.
    """

    updates: int
    loss: float
    skill: float
    error: float = 0.0


def supervised(recipe: SupervisedRecipe, seed: int) -> Supervised[Any]:
    """Return a recipe's problem, freshly initialised."""
    problem = build(recipe, seed)
    assert isinstance(problem, Supervised)
    return problem


class Course:
    """One run of a supervised recipe.

    Args:
        recipe: its epochs are the budget.
        seed: of the run.
        measure_every: updates between two measurements of gradients; the recipe's if left out.
        watched: whether to score every epoch; where they are few, also LOOKS times in a budget.
    """

    def __init__(
        self, recipe: SupervisedRecipe, seed: int, measure_every: int | None = None, *, watched: bool = True
    ) -> None:
        self.recipe, self.seed = recipe, seed
        self.problem = supervised(recipe, seed)
        tasks = self.problem.tasks
        self._balancing = Balancing(Chain(recipe.chain), tasks, seed)
        every = recipe.monitor.every if measure_every is None else measure_every
        self._log = SignalLog(tasks, shared=True, every=every, inspect=self.problem.inspect)
        self.points: dict[str, list[Point]] = {task: [] for task in tasks}
        self.records: list[dict[str, Any]] = []
        self.diverged: Diverged | None = None
        self._watched = watched
        self._constants: dict[str, Tensor] = {}
        try:
            self._note()
        except Diverged as error:
            self.diverged = error
        self._updates_per_epoch = self.problem.planned_updates // recipe.units
        self._interval = max(1, self.problem.planned_updates // LOOKS)

    @property
    def updates(self) -> int:
        """How many there were so far."""
        return self.problem.budget()["updates"]

    def unit_ended(self, record: dict[str, Any]) -> None:
        """Look at every task; called by the engine's loop."""
        self.records.append(record)
        self._note()

    def update_ended(self) -> None:
        """Look at every task LOOKS times in a budget of few epochs; called by the engine's loop."""
        done_of_epoch = self.updates % self._updates_per_epoch
        if done_of_epoch and done_of_epoch % self._interval == 0:
            self._note()

    def _note(self) -> None:
        if not self._watched:
            return
        found = self.problem.evaluate(None, "monitor")
        for task, (loss, skill) in _figures(found).items():
            error = self._error(task, found[task].scores)
            self.points[task].append(Point(self.updates, loss, skill, error))
        refuse_non_finite(self.problem, found, "monitor")

    def _error(self, task: str, scores: Sequence[float]) -> float:
        """Return the standard error of the mean of rows' gains over the constant: hard rows are in both."""
        if task not in self._constants:
            losses = self.problem.constant_losses("monitor")[task].double()
            self._constants[task] = losses / losses.mean()
        if len(scores) != len(self._constants[task]) or len(scores) < FEWEST_ROWS:
            return 0.0
        gains = self._constants[task] - 1 + torch.tensor(scores, dtype=torch.float64) / 100
        return float(gains.std()) / sqrt(len(scores))

    def run(self, epochs: int, enough: Callable[[Course], bool] = lambda _: False) -> Course:
        """Go on until `epochs` epochs have been trained in all, or until it is enough."""
        if self.diverged is not None:
            return self
        self.problem.units = epochs
        try:
            fit(self.problem, self._balancing, self._log, [self], stop=lambda: enough(self))
        except Diverged as error:
            self.diverged = error
        return self

    def steps(self, task: str) -> float | None:
        """Return τ: updates until the task's skill reached LEARNED, interpolated; None if it did not.

        One look above it is noise unless it is CLEARLY_LEARNED above, or the next look is above it too.
        """
        points = self.points[task]
        place = next((place for place in range(len(points)) if _there(points[place : place + 2])), None)
        if not place:
            return None if place is None else 0.0
        before, after = points[place - 1], points[place]
        if before.skill >= LEARNED:  # but not beyond chance, or for one look only
            return float(after.updates)
        share = (LEARNED - before.skill) / (after.skill - before.skill)
        return before.updates + share * (after.updates - before.updates)

    def signal(self, name: str, task: str) -> float | None:
        """Return the mean of a recorded signal over the epochs that have it; None if there is none."""
        found = [record["signals"][name].get(task) for record in self.records if name in record["signals"]]
        known = [value for value in found if value is not None]
        return fmean(known) if known else None

    def cosine(self, task: str, other: str) -> float | None:
        """Return the mean cosine of two tasks' gradients on the trunk; None where none was measured."""
        found = [record["signals"]["cosine"] for record in self.records]
        known = [pairs.get(f"{task}|{other}", pairs.get(f"{other}|{task}")) for pairs in found]
        return fmean(values) if (values := [one for one in known if one is not None]) else None

    def relatives(self, task: str) -> list[float]:
        """Return each epoch's mean training loss, relative to the best constant's."""
        found = [record["signals"]["relative_loss"][task] for record in self.records]
        return [value for value in found if value is not None]

    def at(self, task: str, updates: int) -> Point:
        """Return the last point of a task within a budget."""
        return [point for point in self.points[task] if point.updates <= updates][-1]

    def settled(self, task: str, updates: int | None = None) -> float:
        """Return a task's skill within a budget, single dips apart: its last one, or the median of three.

        Args:
            task: whose.
            updates: the budget; all so far if left out.
        """
        found = [point.skill for point in self.points[task] if updates is None or point.updates <= updates]
        return max(found[-1], median(found[-3:])) if len(found) > 3 else found[-1]

    def best(self, task: str) -> float:
        """Return the highest skill that a task kept for two looks."""
        skills = [point.skill for point in self.points[task]]
        return max(map(min, skills, skills[1:]), default=skills[0])

    def spiked(self, task: str) -> bool:
        """Say whether a task's training loss went up beyond all that a start can explain.

        The validation loss of classes that are learned by heart goes up as far without any harm to training.
        """
        start = max(1.0, 1 - self.points[task][0].skill)
        return max(self.relatives(task), default=0.0) > SPIKE * start


def _there(points: Sequence[Point]) -> bool:
    """Say whether a task counts as learning at the first of these looks, of which the second is the next."""
    first = points[0]
    if first.skill >= max(CLEARLY_LEARNED, CERTAIN_SKILL * first.error):
        return True
    return len(points) > 1 and all(
        point.skill >= max(LEARNED, CERTAIN_SKILL * point.error) for point in points
    )


def scores(problem: Supervised[Any], split: SeedList) -> Mapping[str, tuple[float, float]]:
    """Return each task's mean loss in original units and its skill as a fraction."""
    return _figures(evaluate(problem, None, split))


def _figures(found: Mapping[str, TaskEvaluation]) -> dict[str, tuple[float, float]]:
    return {task: (one.measures["loss"], fmean(one.scores) / 100) for task, one in found.items()}
