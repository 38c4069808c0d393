"""How each task did in the budget, read off a watched run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.report import State, TaskState
from mtctl.diagnosis.thresholds import (
    AT_FLOOR,
    FLAT,
    LEARNED,
)


def state(course: Course, task: str, budget: int, measures: Mapping[str, float]) -> TaskState:
    """Return how a task did.

    Args:
        course: the run as is; it may have gone on after the budget.
        task: its name.
        budget: updates.
        measures: the task's further figures at the end of the budget.
    """
    points = [point for point in course.points[task] if point.updates <= budget]
    first, last = points[0], points[-1]
    change = last.loss / first.loss - 1
    diverged = course.diverged is not None and course.diverged.task == task
    return TaskState(
        task,
        "diverged" if diverged else _name(change, last.skill),
        first.loss,
        last.loss,
        change,
        constant=first.loss / (1 - first.skill),
        skill=last.skill,
        steps=course.steps(task),
        trend=_trend([point.loss for point in points]),
        measures=measures,
        classes=course.problem.is_of_classes(task),
        unit=course.problem.target_unit(task),
    )


def _name(change: float, skill: float) -> State:
    if skill >= AT_FLOOR and abs(change) < FLAT:
        return "at_floor"
    if skill >= LEARNED:
        return "learns"
    return "flat" if abs(change) < FLAT else "slow"


def _trend(losses: Sequence[float]) -> float | None:
    """Return the relative change over the last third."""
    third = len(losses) // 3
    return losses[-1] / losses[-1 - third] - 1 if third else None
