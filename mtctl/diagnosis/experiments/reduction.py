"""The documented story, tested: that the mean over a task's outputs is what starves it beside the others."""

from __future__ import annotations

from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.running_mean import RunningMean
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.experiments.laboratory import NEVER
from mtctl.diagnosis.report import Evidence, Finding, Symptom
from mtctl.diagnosis.thresholds import (
    FLAT,
    LEARNED,
)
from mtctl.problems.supervised.interventions import LossFactor
from mtctl.problems.supervised.recipe import SupervisedRecipe


def examine(recipe: SupervisedRecipe, joint: Course, task: str, symptom: Symptom, budget: int) -> Finding:
    """Train the recipe with one task's loss summed over its outputs, from the same seed, for the same budget.

    Args:
        recipe: as is.
        joint: the run as is.
        task: the stuck one, of several outputs.
        symptom: the documented check, which is met.
        budget: updates.

    Returns:
        The finding: a warning if the sum makes the task learn, and else that the explanation is refuted.
    """
    elements = joint.problem.averaged(task)
    summed = recipe.revised(recipe.changes(LossFactor(task, elements)))
    course = Course(summed, joint.seed, NEVER).run(recipe.units)
    mean = joint.at(task, budget)
    evidence = [
        Evidence("flat losses", ", ".join(symptom.flat), "", f"improving: {', '.join(symptom.improving)}"),
        Evidence("validation loss with the mean", mean.loss),
    ]
    if course.diverged is not None:
        text = f"refuted: with {task}'s loss summed over its {elements} outputs the training diverges"
        return Finding(Code.REDUCTION_BIAS, task, "info", "measured", text, tuple(evidence))
    total = course.at(task, budget)
    change = total.loss / mean.loss - 1
    evidence.append(
        Evidence(
            f"validation loss with the sum over {elements} outputs", total.loss, "", f"{100 * change:+.3f} %"
        )
    )
    if total.skill >= LEARNED and abs(change) >= FLAT:
        text = f"the mean over {elements} outputs makes {task}'s loss too small: summed, it learns"
        cure = recipe.changes(LossFactor(task, elements))
        return Finding(Code.REDUCTION_BIAS, task, "warning", "measured", text, tuple(evidence), cure)
    text = (
        f"refuted: summing {task}'s loss over its {elements} outputs instead of averaging changes the result "
        f"by {100 * change:+.3f} %{_why(recipe)}"
    )
    return Finding(Code.REDUCTION_BIAS, task, "info", "measured", text, tuple(evidence))


def _why(recipe: SupervisedRecipe) -> str:
    if any(isinstance(method, RunningMean | BatchScale) for method in recipe.chain):
        return ": its normaliser cancels any constant factor"
    return ""
