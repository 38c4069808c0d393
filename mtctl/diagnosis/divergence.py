"""A run that diverged: whether a lower learning rate trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mtctl.diagnosis import variations
from mtctl.diagnosis.causes import NEVER
from mtctl.diagnosis.course import Course
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.recipes.recipe import WindowsRecipe

LOWER: Final = (0.1, 0.01, 0.001)
"""Factors on the learning rate that are tried."""


def diverged(course: Course) -> str | None:
    """Return the task whose loss is not finite, or rose far above where it began; None if there is none."""
    if course.diverged is not None:
        return course.diverged.task
    return next((task for task in course.problem.tasks if course.spiked(task)), None)


def examine(recipe: WindowsRecipe, joint: Course, task: str, say: Callable[[str], None]) -> Finding:
    """Return what makes a run diverge.

    Args:
        recipe: as is.
        joint: the run as is, which diverged.
        task: by which task's loss.
        say: gets a line about what is being done.
    """
    error = joint.diverged
    found = f"{task}'s loss rose far above where it began" if error is None else error.message
    evidence = []
    for factor in LOWER:
        say(f"experiment: learning rate × {factor:g}")
        lower = variations.varied(recipe, variations.learning_rate(recipe, factor))
        course = Course(lower, joint.seed, NEVER).run(recipe.training.epochs)
        trains = diverged(course) is None
        evidence.append(
            Evidence(f"with {factor:g} × the learning rate", "trains" if trains else "diverges too")
        )
        if trains:
            text = f"{found}; a learning rate of {lower.training.lr:g} trains"
            return Finding("learning-rate", task, "error", "measured", text, tuple(evidence))
    return Finding("diverged", task, "error", "measured", found, tuple(evidence))
