"""What `mtctl compare` shows: scores, differences to the baseline, budgets, and what differs between runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.text import Text

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.documents import show_text
from mtctl.analysis.evaluation import Outcomes, ends_of
from mtctl.analysis.mismatch import Mismatch
from mtctl.cli.screens.figures import NOTHING, duration, estimates, in_words, interval, number, percent
from mtctl.cli.screens.tables import Column, StackedTable


def comparison_tables(comparison: Comparison) -> Iterator[StackedTable]:
    """Yield the tables of a comparison: scores, differences where there is a second method, budgets."""
    names = Column("method", tuple(method.label for method in comparison.methods), text=True)
    yield _scores(comparison, names)
    if len(comparison.methods) > 1:
        yield _differences(comparison, names)
    yield _budgets(comparison, names)


def _scores(comparison: Comparison, names: Column) -> StackedTable:
    score, methods = comparison.score, comparison.methods
    title = (
        f"Scores: mean {score.name} over {comparison.items:,} held-out {comparison.item}s per task, "
        "± 95 % interval over seeds"
    )
    if score.success is not None:
        title += f"; success is {'≥' if score.higher_is_better else '≤'} {score.success:g}"
    tasks = (
        Column(task, estimates([method.tasks[task].score for method in methods])) for task in comparison.tasks
    )
    return StackedTable(
        title,
        names,
        (
            (
                Column("seeds", tuple(f"{len(method.seeds):,}" for method in methods)),
                *tasks,
                Column("average", estimates([method.average for method in methods])),
            ),
            _outcomes([method.outcomes for method in methods]),
        ),
    )


def _outcomes(counted: Sequence[Outcomes]) -> tuple[Column, ...]:
    """Return the columns of success and endings: none where there is no such thing."""
    columns = [
        Column(in_words(end), tuple(percent(each.share(end)) for each in counted)) for end in ends_of(counted)
    ]
    if any(each.successes is not None for each in counted):
        columns.insert(0, Column("success", tuple(percent(each.success_rate) for each in counted)))
    return tuple(columns)


def _differences(comparison: Comparison, names: Column) -> StackedTable:
    found = [method.difference for method in comparison.methods]
    means = (NOTHING if each is None else number(each.mean, sign=True) for each in found)
    intervals = (NOTHING if each is None else interval(each.interval, sign=True) for each in found)
    return StackedTable(
        f"Average against {comparison.baseline}, paired by seed",
        names,
        (
            (
                Column("difference", tuple(means)),
                Column("95 % interval", tuple(intervals)),
                Column("verdict", tuple(method.verdict for method in comparison.methods), text=True),
            ),
        ),
    )


def _budgets(comparison: Comparison, names: Column) -> StackedTable:
    spent = [method.spending for method in comparison.methods]
    steps = Column("environment steps", tuple(number(each.environment_steps, 0) for each in spent))
    played = any(each.environment_steps is not None for each in spent)
    return StackedTable(
        "Budgets: means per run",
        names,
        (
            (
                Column(f"{comparison.unit}s", tuple(f"{each.units:,.0f}" for each in spent)),
                *([steps] if played else []),
                Column("updates", tuple(f"{each.updates:,.0f}" for each in spent)),
                Column("samples per update", tuple(f"{each.samples_per_update:,.0f}" for each in spent)),
                Column("parameters", tuple(f"{method.parameters.total:,}" for method in comparison.methods)),
                Column("wall clock", tuple(duration(each.seconds) for each in spent)),
            ),
        ),
    )


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
        ((Column("value", values, text=True), Column("runs", runs, text=True)),),
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
        yield _remark("left out", "yellow", f"{entry.run.path} {entry.reason}{remedy}")
    for warning in comparison.warnings:
        yield _remark("warning", "bold yellow", warning)
    for note in comparison.notes:
        yield _remark("note", "cyan", note)


def _remark(label: str, style: str, sentence: str) -> Text:
    return Text.assemble((f"{label}: ", style), show_text(sentence))
