"""Tasks that are better than a constant: whether they look at their inputs, and whether they have arrived."""

from __future__ import annotations

from mtctl.diagnosis import wiring
from mtctl.diagnosis.course import LEARNED, Course
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.diagnosis.states import AT_FLOOR, FLAT


def examine(course: Course, task: str) -> Finding | None:
    """Return what is to be said of a task at the end of the budget; None of one that simply learns.

    Args:
        course: the run as is, at the end of its budget.
        task: its name.
    """
    first, last = course.points[task][0], course.points[task][-1]
    if last.skill < LEARNED:
        return None
    change = wiring.ignores_input(course.problem, task)
    if change < wiring.IGNORED:
        evidence = Evidence(
            "change of the loss with other windows' inputs", 100 * change, "%", f"below {wiring.IGNORED:.0%}"
        )
        text = f"{task} is better than a constant without looking at its inputs: others' give the same loss"
        return Finding("ignores-input", task, "error", "measured", text, (evidence,))
    if last.skill >= AT_FLOOR and abs(last.loss / first.loss - 1) < FLAT:
        evidence = Evidence("skill", 100 * last.skill, "%")
        text = f"{task} does not move because it has arrived"
        return Finding("at-noise-floor", task, "info", "measured", text, (evidence,))
    return None
