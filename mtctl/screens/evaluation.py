"""What `mtctl eval` shows of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mtctl.analysis.evaluation import Summary, TaskSummary, ends_of, summarise
from mtctl.engine.launch.launcher import Handle
from mtctl.history.formats import Evaluation, Run
from mtctl.screens.figures import NOTHING, in_words, interval, measure, number, percent
from mtctl.screens.several import Several
from mtctl.screens.tables import Column, StackedTable
from mtctl.terminal.console import out
from mtctl.text import show_text

_BAR: Final = 20  # cells of a bar


def evaluation_tables(summary: Summary, title: str) -> Iterator[StackedTable]:
    """Yield the tables of a run's evaluation: scores, and where there are any, measures in other units.

    Args:
        summary: from `mtctl.analysis.evaluation.summarise`.
        title: which run, which checkpoint, which score, how many items.
    """
    groups = (_scores(summary), _successes(summary), _endings(summary))
    names = (*(row.task for row in summary.tasks), "average")
    yield StackedTable(title, Column("task", names, text=True), *(group for group in groups if group))
    if summary.measures:
        yield _measures(summary)


def evaluation_title(run: Run, evaluation: Evaluation) -> str:
    """Say which run, which checkpoint, which score, and how many items."""
    which = f"{evaluation.checkpoint} ({run.unit} {evaluation.done:,})"
    return f"{run.path} · {which} · {run.score.name} over {evaluation.items:,} held-out {run.item}s each"


def print_evaluation(run: Run, evaluation: Evaluation) -> None:
    """Print a run's evaluation."""
    tables = evaluation_tables(summarise(evaluation, run.score), evaluation_title(run, evaluation))
    for place, table in enumerate(tables):
        out().print(*([""] if place else []), table, sep="\n", crop=False)


class SeveralEvaluated(Several):
    """Shows how far several evaluations are: a line for each that ends, and a bar."""

    def __init__(self, handles: Sequence[Handle], *, quiet: bool) -> None:
        super().__init__(handles, quiet=quiet, transient=True)
        self._quiet, self._ended = quiet, list[Handle]()

    def news(self, handle: Handle) -> Iterator[str]:
        if self._quiet:
            return
        if handle.delay:
            yield f"{handle.spec.label}: {handle.delay}"
        if handle.result is not None:
            self._ended += [] if handle in self._ended else [handle]
            how = {"completed": "evaluated", "interrupted": "stopped"}.get(handle.state, "failed")
            place = f"({self._ended.index(handle) + 1} of {len(self.handles)})"
            yield f"{handle.spec.label}: {how} {place}"

    def picture(self) -> RenderableType:
        return evaluating_screen(self.handles)


def evaluating_screen(handles: Sequence[Handle]) -> RenderableType:
    """Show how far several evaluations are, and which are under way."""
    ended = sum(handle.result is not None for handle in handles)
    under_way = [handle.spec.label for handle in handles if handle.state == "running"]
    bar = Table.grid(padding=(0, 1))
    bar.add_column(no_wrap=True)
    bar.add_column(width=_BAR)
    bar.add_column(overflow="fold")
    bar.add_row(
        f"{ended}/{len(handles)} runs",
        ProgressBar(total=len(handles), completed=ended, width=_BAR),
        Text(show_text(", ".join(under_way))),
    )
    return bar


def _scores(summary: Summary) -> tuple[Column, ...]:
    rows = summary.tasks
    deviations = (NOTHING if row.scores.sd is None else number(row.scores.sd) for row in rows)
    return (
        Column("mean", (*(number(row.scores.mean) for row in rows), number(summary.average))),
        Column("sd", (*deviations, "")),
        Column("95 % interval", (*(interval(row.scores.interval) for row in rows), "")),
    )


def _successes(summary: Summary) -> tuple[Column, ...]:
    if summary.outcomes.successes is None:
        return ()
    rates = [*(row.outcomes.success_rate for row in summary.tasks), summary.outcomes.success_rate]
    return (
        Column("success", map(percent, rates)),
        Column("95 % interval", (*map(_success, summary.tasks), "")),
    )


def _success(row: TaskSummary) -> str:
    if row.success is None:
        return NOTHING
    return f"[{100 * row.success.low:.0f}, {100 * row.success.high:.0f}] %"


def _endings(summary: Summary) -> tuple[Column, ...]:
    outcomes = [*(row.outcomes for row in summary.tasks), summary.outcomes]
    columns = [
        Column(in_words(end), (f"{each.ends.get(end, 0):,}" for each in outcomes))
        for end in ends_of(outcomes)
    ]
    if summary.steps is not None:
        steps = [*(row.steps for row in summary.tasks), summary.steps]
        columns.append(Column("steps", (number(each, 0) for each in steps)))
    return tuple(columns)


def _measures(summary: Summary) -> StackedTable:
    rows = summary.tasks
    columns = (
        Column(in_words(name), (measure(row.measures.get(name)) for row in rows)) for name in summary.measures
    )
    names = Column("task", (row.task for row in rows), text=True)
    return StackedTable("Measures, in each task's own units", names, columns)
