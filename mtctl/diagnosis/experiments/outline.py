"""What a diagnosis of a supervised recipe would train, and how long that takes, from one epoch of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mtctl.diagnosis.experiments import variations
from mtctl.diagnosis.experiments.course import Course, supervised
from mtctl.diagnosis.experiments.laboratory import NEVER
from mtctl.diagnosis.report import Remedy
from mtctl.diagnosis.thresholds import HELD_BACK_SHARE, WATCHED_BUDGETS, percent
from mtctl.problems.supervised.recipe import SupervisedRecipe

_EXPERIMENTS: Final = (3, 6)
"""Trainings that tell the causes of one task apart, usually: the fewest and the most."""
_LENGTH: Final = 1.3
"""Budgets that such a training takes, on average: measured with the documented problem."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What would be trained.

    Args:
        experiments: what is changed, in words.
        remedies: for a task that does not learn, before it is known why.
        task: that the remedies are for, as an example.
        training: seconds of one training.
        learns: seconds of the whole, where every task learns.
        stuck: seconds of the whole, where one task does not, and where none does.
    """

    experiments: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    task: str
    training: float
    learns: float
    stuck: tuple[float, float]


def outline(
    recipe: SupervisedRecipe, *, seeds: Sequence[int], verify: bool, task: str | None = None, jobs: int = 1
) -> Outline:
    """Train one epoch of a recipe and return what a diagnosis would do; see `diagnose_recipe`.

    Raises:
        MtctlError: the data cannot be read; …
    """
    began = time.perf_counter()
    problem = supervised(recipe, seeds[0])
    built = time.perf_counter()
    Course(recipe, seeds[0], NEVER).run(1)
    ended = time.perf_counter()
    building, epoch = built - began, max(0.0, ended - built - (built - began))
    training = building + recipe.units * epoch
    tasks = problem.tasks if task is None else (task,)
    example = tasks[-1]
    remedies = tuple(variations.remedies(recipe, problem, example)) if verify else ()
    alone = len(tasks) * training if len(problem.tasks) > 1 else 0.0
    proof = training * (1 + len(remedies)) * -(-len(seeds) // jobs) if verify else 0.0
    few, many = _EXPERIMENTS
    low, high = (
        training * (1 + WATCHED_BUDGETS + _LENGTH * count) + proof for count in (few, many * len(tasks))
    )
    return Outline(
        (
            f"the recipe as it is; up to {WATCHED_BUDGETS} times as long where a task does not learn",
            "for each task that learns: the same task without the others; where its skill is "
            f"{percent(HELD_BACK_SHARE)} or less, with all aids combined, and what it needs of them",
            "for each that does not: without the others, with a standardised head, with both; then other "
            "learning rates, other weights, and more, until its causes are told apart",
        ),
        remedies,
        example,
        training,
        2 * training + alone,
        (low, high),
    )
