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
from mtctl.screens.compare_training import budgets, reaching, sharing
from mtctl.screens.figures import NOTHING, estimates, in_words, interval, number, percent
from mtctl.screens.tables import Column, StackedTable
from mtctl.text import show_text

_SMALLEST_P = 0.001
"""Below, a p value is only said to be smaller: a t test's far tails mean little with few seeds."""


def comparison_tables(comparison: Comparison) -> Iterator[StackedTable]:
    """Yield the tables of a comparison: scores, differences if there is a second method, training, costs."""
    names = Column("method", (method.label for method in comparison.methods), text=True)
    yield _scores(comparison, names)
    if len(comparison.methods) > 1:
        yield _differences(comparison, names)
    yield _aggregates(comparison, names)
    yield from reaching(comparison, names)
    yield from sharing(comparison, names)
    yield budgets(comparison, names)


def _scores(comparison: Comparison, names: Column) -> StackedTable:
    score, methods = comparison.score, comparison.methods
    items = f"{comparison.items:,} {'held-out ' if comparison.matched is None else ''}{comparison.item}s"
    whose = "" if comparison.checkpoint == layout.LAST else f" of {comparison.checkpoint} checkpoints"
    title = f"Scores{whose}: mean {score.name} over {items} per task, ± 95 % interval over seeds"
    if score.success is not None:
        title += f"; success is {'≥' if score.higher_is_better else '≤'} {score.success:g}"
    tasks = (
        Column(task, estimates([method.tasks[task].score for method in methods])) for task in comparison.tasks
    )
    return StackedTable(
        title,
        names,
        [
            Column("seeds", (f"{len(method.seeds):,}" for method in methods)),
            *tasks,
            Column("average", estimates([method.average for method in methods])),
        ],
        _outcomes([method.outcomes for method in methods]),
    )


def _outcomes(counted: Sequence[Outcomes]) -> tuple[Column, ...]:
    """Return the columns of success and endings: none where there is no such thing."""
    columns = [
        Column(in_words(end), (percent(each.share(end)) for each in counted)) for end in ends_of(counted)
    ]
    if any(each.successes is not None for each in counted):
        columns.insert(0, Column("success", (percent(each.success_rate) for each in counted)))
    return tuple(columns)


def _differences(comparison: Comparison, names: Column) -> StackedTable:
    differences = [method.difference for method in comparison.methods]
    means = (NOTHING if each is None else number(each.mean, sign=True) for each in differences)
    intervals = (NOTHING if each is None else interval(each.interval, sign=True) for each in differences)
    chances = [method.improvement for method in comparison.methods]
    tested = any(each is not None and each.adjusted is not None for each in differences)
    title = f"Average against {comparison.baseline}, paired by seed"
    return StackedTable(
        f"{title}; p by Holm's method for all of them" if tested else title,
        names,
        [
            Column("difference", means),
            Column("95 % interval", intervals),
            Column("p", (p_value(None if each is None else each.adjusted) for each in differences)),
            Column("P(better)", (_aggregate(each, 2) for each in chances)),
            Column("verdict", (method.verdict for method in comparison.methods), text=True),
        ],
    )


def _aggregates(comparison: Comparison, names: Column) -> StackedTable:
    methods = comparison.methods
    titles = {"iqm": "interquartile mean"}
    figures = (
        Column(titles.get(name, name), (_aggregate(method.aggregates[name], 1) for method in methods))
        for name in methods[0].aggregates
    )
    several = len(methods) > 1
    relative = (
        Column("mean rank", (number(method.rank, 2) for method in methods)),
        Column("Δm %", (number(method.relative_change, sign=True) for method in methods)),
    )
    title = "Over seeds and tasks"
    if any(len(method.seeds) > 1 for method in methods):
        title += ", with stratified bootstrap 95 % intervals"
    if several:
        title += f"; Δm is the mean relative change to {comparison.baseline}, + is better"
    return StackedTable(title, names, tuple(figures), relative if several else ())


def _aggregate(aggregate: Aggregate | None, digits: int) -> str:
    if aggregate is None:
        return NOTHING
    ends = aggregate.interval
    text = number(aggregate.value, digits)
    return text if ends is None else f"{text} [{number(ends.low, digits)}, {number(ends.high, digits)}]"


def p_value(value: float | None) -> str:
    """Return a p value, or that it is too small to be told."""
    if value is None:
        return NOTHING
    return f"< {_SMALLEST_P:g}" if value < _SMALLEST_P else f"{value:.3f}"


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
