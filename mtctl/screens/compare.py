"""What `mtctl compare` shows: scores, differences to the baseline, training, costs, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.text import Text

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.evaluation import Outcomes, ends_of
from mtctl.analysis.methods import Aggregate
from mtctl.analysis.mismatch import Mismatch
from mtctl.engine import layout
from mtctl.screens.compare_seeds import one_more_run, profile_table
from mtctl.screens.compare_training import budgets, reaching, sharing
from mtctl.screens.figures import NOTHING, estimates, in_words, number, percent
from mtctl.screens.tables import Column, StackedTable
from mtctl.screens.verdict import verdict_table
from mtctl.text import show_text

_WIDEST_NAME = 22
"""Cells of a name that are not broken: then the verdict fits beside its figures into 80 columns."""


def comparison_tables(comparison: Comparison) -> Iterator[StackedTable]:
    """Yield the tables of a comparison: verdicts if there is a second method, scores, training, costs."""
    names = Column("method", (method.label for method in comparison.methods), text=True, kept=_WIDEST_NAME)
    if len(comparison.methods) > 1:
        yield verdict_table(comparison, names)
    yield _scores(comparison, names)
    yield _aggregates(comparison, names)
    yield from one_more_run(comparison, names)
    yield from profile_table(comparison, names)
    yield from reaching(comparison, names)
    yield from sharing(comparison, names)
    yield budgets(comparison, names)


def _scores(comparison: Comparison, names: Column) -> StackedTable:
    score, methods = comparison.score, comparison.methods
    items = f"{comparison.items:,} {'held-out ' if comparison.matched is None else ''}{comparison.item}s"
    whose = "" if comparison.checkpoint == layout.LAST else f" of {comparison.checkpoint} checkpoints"
    title = f"Scores{whose} by task: mean {score.name} over {items} per task, ± 95 % interval over seeds"
    if score.success is not None:
        title += f"; success is {'≥' if score.higher_is_better else '≤'} {score.success:g}"
    tasks = (
        Column(task, estimates([method.tasks[task].score for method in methods])) for task in comparison.tasks
    )
    alone = [
        Column("seeds", (f"{len(method.seeds):,}" for method in methods)),
        Column("average", estimates([method.average for method in methods])),
    ]
    counted = _outcomes([method.outcomes for method in methods])
    return StackedTable(title, names, [*([] if len(methods) > 1 else alone), *tasks], counted)


def _outcomes(counted: Sequence[Outcomes]) -> tuple[Column, ...]:
    """Return the columns of success and endings: none where there is no such thing."""
    columns = [
        Column(in_words(end), (percent(each.share(end)) for each in counted)) for end in ends_of(counted)
    ]
    if any(each.successes is not None for each in counted):
        columns.insert(0, Column("success", (percent(each.success_rate) for each in counted)))
    return tuple(columns)


def _aggregates(comparison: Comparison, names: Column) -> StackedTable:
    methods = comparison.methods
    figures = {
        header: [method.aggregates[name] for method in methods]
        for name, header in {"iqm": "interquartile mean", "median": "median"}.items()
    }
    drawn = any(each.interval is not None for column in figures.values() for each in column)
    title = "Over seeds and tasks"
    if drawn:
        title += ", with stratified bootstrap 95 % intervals"
    relative = [
        Column("mean rank", (number(method.rank, 2) for method in methods)),
        Column("Δm %", (number(method.relative_change, sign=True) for method in methods)),
        Column("P(better)", (_aggregate(method.improvement, 2) for method in methods)),
    ]
    shown = [column for column in relative if set(column.cells) != {NOTHING}] if len(methods) > 1 else []
    headers = {column.header for column in shown}
    told = {
        "Δm %": f"Δm: mean relative change to {comparison.baseline}, + is better",
        "P(better)": f"P(better): chance that a run scores higher than one of {comparison.baseline}",
    }
    return StackedTable(
        "; ".join([title, *(meaning for header, meaning in told.items() if header in headers)]),
        names,
        [Column(header, (_aggregate(each, 1) for each in column)) for header, column in figures.items()],
        shown,
    )


def _aggregate(aggregate: Aggregate | None, digits: int) -> str:
    if aggregate is None:
        return NOTHING
    ends = aggregate.interval
    text = number(aggregate.value, digits)
    return text if ends is None else f"{text} [{number(ends.low, digits)}, {number(ends.high, digits)}]"


def mismatch_table(mismatches: Iterable[Mismatch]) -> StackedTable:
    """Return what differs between runs: each value, and the runs that have it."""
    rows = [
        (mismatch.what if index == 0 else "", value, _together(paths))
        for mismatch in mismatches
        for index, (value, paths) in enumerate(mismatch.values)
    ]
    whats, values, runs = zip(*rows, strict=True)
    return StackedTable(
        "These runs measure different things",
        Column("what", whats, text=True),
        [Column("value", values, text=True), Column("runs", runs, text=True)],
    )


def _together(paths: Iterable[Path]) -> str:
    """Name runs by folder: results/shared_aware: seed0, seed1."""
    folders: dict[Path, list[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path.name)
    return "; ".join(show_text(f"{folder}: {', '.join(names)}") for folder, names in folders.items())


def remarks(comparison: Comparison) -> Iterator[Text]:
    """Yield a line for everything that a reader must know besides the numbers."""
    for entry in comparison.left_out:
        remedy = f" (`{entry.remedy}`)" if entry.remedy else ""
        yield remark("left out", "yellow", f"{entry.run.path} {entry.reason}{remedy}")
    for warning in comparison.warnings:
        yield remark("warning", "bold yellow", warning)
    for note in comparison.notes:
        yield remark("note", "cyan", note)


def remark(label: str, style: str, sentence: str) -> Text:
    """Return a labelled sentence."""
    return Text.assemble((f"{label}: ", style), show_text(sentence))
