"""Tasks that are better than a constant: whether they look at their inputs, and whether they have arrived."""

from __future__ import annotations

from mtctl.diagnosis import wiring
from mtctl.diagnosis.course import LEARNED, Course
from mtctl.diagnosis.report import Evidence, Finding
from mtctl.diagnosis.states import AT_FLOOR, FLAT
from mtctl.problems.windows.losses import countdown_from_start, window_losses
from mtctl.problems.windows.problem import Windows


def constant_start_loss(problem: Windows) -> float:
    """Return the held-out countdown loss of one start for all windows: what position alone makes of a scalar.

    The start is the training windows' median, the best constant of an absolute error.
    """
    split = problem.splits.held_out
    start = problem.splits.training.start.float().median().expand(len(split), 1)
    truth = problem.objective.truth("countdown", split)
    losses = window_losses("countdown", countdown_from_start(start), truth)
    return float(losses.double().mean())


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
