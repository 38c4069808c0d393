"""A run that diverged: whether a lower learning rate trains."""

from __future__ import annotations

from collections.abc import Callable

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.experiments.laboratory import NEVER, lasts
from mtctl.diagnosis.report import Evidence, Finding, Severity
from mtctl.diagnosis.thresholds import (
    DIVERGED_RATES,
    LEARNED,
)
from mtctl.problems.supervised.interventions import HeadRate, Rate
from mtctl.problems.supervised.recipe import SupervisedRecipe


def diverged(course: Course) -> str | None:
    """Return the task whose loss is not finite, or rose far above where it began; None if there is none.

    Of several, one that has not recovered by the end of the course.
    """
    if course.diverged is not None:
        return course.diverged.task
    spiked = [task for task in course.problem.tasks if course.spiked(task)]
    return min(spiked, key=lambda task: course.points[task][-1].skill, default=None)


def examine(recipe: SupervisedRecipe, joint: Course, task: str, say: Callable[[str], None]) -> Finding | None:
    """Return what makes a run diverge; None if its loss is high and finite, whatever the learning rate.

    The rate is to blame only if with a lower one the task learns, and so do all that learn as is: one so low
    that nothing moves does not diverge. A warning if the task recovered.

    Args:
        recipe: as is.
        joint: the run as is, which diverged.
        task: by which task's loss.
        say: gets a line about what is being done.
    """
    error = joint.diverged
    lost = error is not None or joint.points[task][-1].skill < LEARNED
    found = f"{task}'s loss rose far above its first value" if error is None else error.message
    learned = set() if error is not None else _learned(joint)
    evidence = []
    changes: list[Rate | HeadRate] = [Rate(factor) for factor in DIVERGED_RATES]
    if len(joint.problem.tasks) > 1:
        given = recipe.training.head_lr.get(task, 1.0)
        changes += [HeadRate(task, factor * given) for factor in DIVERGED_RATES]
    for change, factor in zip(changes, 2 * DIVERGED_RATES, strict=False):
        whose = f" of {task}'s head" if isinstance(change, HeadRate) else ""
        say(f"experiment: learning rate{whose} × {factor:g}")
        lower = recipe.revised(recipe.changes(change))
        course = Course(lower, joint.seed, NEVER).run(recipe.units)
        trains = diverged(course) is None and learned | {task} <= _learned(course)
        evidence.append(
            Evidence(
                f"with {factor:g} × the learning rate{whose}", "learns" if trains else "does not learn either"
            )
        )
        if trains:
            text = f"{found}; with a learning rate of {course.problem.rate:g} it learns"
            if whose:
                text = f"{found}; with {factor:g} times the learning rate{whose} it learns"
            severity: Severity = "error" if lost else "warning"
            cure = recipe.changes(change)
            return Finding(Code.LEARNING_RATE, task, severity, "measured", text, tuple(evidence), cure)
    return (
        None if error is None else Finding(Code.DIVERGED, task, "error", "measured", found, tuple(evidence))
    )


def _learned(course: Course) -> set[str]:
    return {task for task in course.problem.tasks if lasts(course, task)}
