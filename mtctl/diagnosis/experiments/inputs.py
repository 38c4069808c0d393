"""Tasks that are better than a constant: whether they look at their inputs, and whether they have arrived."""

from __future__ import annotations

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import wiring
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.diagnosis.thresholds import (
    AT_FLOOR,
    FLAT,
    IGNORED,
    LEARNED,
)


def examine(course: Course, task: str, budget: int, patience: int) -> Finding | None:
    """Return what is to be said of a task at the end of the budget; None of one that simply learns.

    What position alone gives is often learned first. So a task that does not look at its inputs yet is
    trained on before it is accused.

    Args:
        course: the run as is, at the end of its budget or later.
        task: its name.
        budget: updates.
        patience: epochs, those of the budget included, that the task may take until it looks.
    """
    first, last = course.points[task][0], course.at(task, budget)
    if last.skill < LEARNED:
        return None
    if _looks(course, task) < IGNORED:
        course.run(patience, lambda one: _looks(one, task) >= IGNORED)
        change = _looks(course, task)
        evidence = Evidence(
            "change of the loss with shuffled inputs", 100 * change, "%", f"below {IGNORED:.0%}"
        )
        text = f"{task} beats a constant but ignores its inputs: shuffling them hardly changes the loss"
        found = Finding(Code.IGNORES_INPUT, task, "error", "measured", text, (evidence,))
        return found if change < IGNORED else None
    if last.skill >= AT_FLOOR and abs(last.loss / first.loss - 1) < FLAT:
        evidence = Evidence("skill", 100 * last.skill, "%")
        text = f"{task}'s loss is flat because little is left to learn"
        return Finding(Code.AT_NOISE_FLOOR, task, "info", "measured", text, (evidence,))
    return None


def _looks(course: Course, task: str) -> float:
    """Return the relative change of a task's loss with other rows' inputs."""
    return wiring.ignores_input(course.problem.answers("monitor"), task)
