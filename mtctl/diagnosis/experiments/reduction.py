"""The documented story, tested: that the mean over a task's outputs is what starves it beside the others."""

from __future__ import annotations

from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.running_mean import RunningMean
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.experiments.laboratory import NEVER
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.diagnosis.thresholds import (
    FLAT,
    LEARNED,
)
from mtctl.problems.supervised.interventions import LossFactor
from mtctl.problems.supervised.recipe import SupervisedRecipe


def examine(recipe: SupervisedRecipe, joint: Course, task: str, budget: int) -> tuple[Finding | None, str]:
    """Train the recipe with one task's loss summed over its outputs, from the same seed, for the same budget.

    Args:
        recipe: as is.
        joint: the run as is.
        task: the stuck one.
        budget: updates.

    Returns:
        The finding if the sum makes the task learn, and else a sentence on what came of it.
    """
    elements = joint.problem.elements(task)
    summed = recipe.revised(recipe.changes(LossFactor(task, elements)))
    course = Course(summed, joint.seed, NEVER).run(recipe.units)
    if course.diverged is not None:
        return None, f"with {task}'s loss summed over its {elements} outputs the training diverges"
    mean, total = joint.at(task, budget), course.at(task, budget)
    change = f"{100 * (total.loss / mean.loss - 1):+.3f} %"
    if abs(total.loss / mean.loss - 1) < FLAT:
        return None, (
            f"the documented explanation does not hold here: summing {task}'s loss over its {elements} "
            f"outputs instead of averaging changes the result by {change}{_why(recipe)}"
        )
    if total.skill < LEARNED:
        return (
            None,
            f"summing {task}'s loss over its {elements} outputs changes it by {change}, which is too little",
        )
    evidence = (
        Evidence("validation loss with the mean", mean.loss),
        Evidence(f"validation loss with the sum over {elements} outputs", total.loss, "", change),
    )
    text = (
        f"the mean over {elements} outputs makes {task}'s loss too small beside the others: summed, it learns"
    )
    return Finding(Code.REDUCTION_BIAS, task, "warning", "measured", text, evidence), ""


def _why(recipe: SupervisedRecipe) -> str:
    if any(isinstance(method, RunningMean | BatchScale) for method in recipe.chain):
        return ": its normaliser cancels any constant factor"
    return ""
