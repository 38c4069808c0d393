"""What `mtctl eval` shows of one run."""

from __future__ import annotations

from mtctl.analysis.evaluation import Summary, TaskSummary
from mtctl.cli.screens.figures import NOTHING, interval, number, percent
from mtctl.cli.screens.tables import Column, StackedTable


def evaluation_table(summary: Summary, title: str) -> StackedTable:
    """Return the table of a run's evaluation: a row for each task, and their average.

    Args:
        summary: from `mtctl.analysis.evaluation.summarise`.
        title: which run, which checkpoint, how many episodes.
    """
    rows = summary.tasks
    outcomes = [*(row.outcomes for row in rows), summary.outcomes]
    deviations = (NOTHING if row.returns.sd is None else number(row.returns.sd) for row in rows)
    return StackedTable(
        title,
        Column("task", (*(row.task for row in rows), "average"), text=True),
        (
            (
                Column("mean", (*(number(row.returns.mean) for row in rows), number(summary.average))),
                Column("sd", (*deviations, "")),
                Column("95 % interval", (*(interval(row.returns.interval) for row in rows), "")),
                Column("success", tuple(percent(ends.success_rate) for ends in outcomes)),
                Column("95 % interval", (*map(_success, rows), "")),
            ),
            (
                Column("landed", tuple(f"{ends.landed:,}" for ends in outcomes)),
                Column("crashed", tuple(f"{ends.crashed:,}" for ends in outcomes)),
                Column("timed out", tuple(f"{ends.timed_out:,}" for ends in outcomes)),
                Column("steps", (*(f"{row.steps:,.0f}" for row in rows), f"{summary.steps:,.0f}")),
            ),
        ),
    )


def _success(row: TaskSummary) -> str:
    if row.success is None:
        return NOTHING
    return f"[{100 * row.success.low:.0f}, {100 * row.success.high:.0f}] %"
