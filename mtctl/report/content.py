"""A comparison in the words of a report: verdicts in sentences, and the screens' tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mtctl import __version__
from mtctl.analysis.comparison import Comparison
from mtctl.analysis.export import as_document
from mtctl.analysis.methods import ComparedMethod, Difference
from mtctl.engine.provenance import now
from mtctl.history.formats import Run
from mtctl.history.history import HistoryReader, recorded_history
from mtctl.history.runs import read_run
from mtctl.problems.kind import Published
from mtctl.report.charts import charts
from mtctl.report.method import explanations
from mtctl.report.parts import (
    Diagnosed,
    Fact,
    Kind,
    Page,
    PageColumn,
    PageTable,
    Remark,
    Verdict,
)
from mtctl.report.plain import plain
from mtctl.report.recipes import recipe_differences
from mtctl.screens.compare import comparison_tables, mismatch_table
from mtctl.screens.compare_training import published_table
from mtctl.screens.figures import NOTHING, duration, interval, number
from mtctl.statistics import Estimate

_SMALLEST_P: Final = 0.001
_KINDS: Final[dict[str, Kind]] = {"baseline": "baseline", "better": "better", "worse": "worse"}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a report says besides the comparison.

    Args:
        title: the page's; None for one made of what is compared.
        command: what was typed.
        bootstrap_seed: of the resampling that intervals come from.
        found: every finding of the methods' runs in a line; None if there is none.
        runs_diagnosed: what the records of each method's runs say.
        files_diagnosed: what was diagnosed elsewhere.
    """

    title: str | None
    command: str
    bootstrap_seed: int
    found: PageTable | None
    runs_diagnosed: tuple[Diagnosed, ...]
    files_diagnosed: tuple[Diagnosed, ...]


def parts(
    comparison: Comparison,
    study: Published | None,
    around: Circumstances,
    read: HistoryReader = recorded_history,
) -> Page:
    """Return what a report says.

    Args:
        comparison: what is compared.
        study: published figures to be shown beside.
        around: what else it says.
        read: returns what a run recorded.

    Raises:
        MtctlError: a run's file is corrupt.
    """
    runs = [read_run(path) for method in comparison.methods for path in method.paths]
    recipes, unreadable = recipe_differences(comparison.methods, comparison.baseline)
    tables = [*comparison_tables(comparison), *([published_table(study)] if study else [])]
    several = len(comparison.methods) > 1
    return Page(
        title=around.title or _title(comparison),
        lead=_lead(comparison, runs),
        facts=tuple(_facts(comparison, runs)),
        verdicts=tuple(_verdict(comparison, method) for method in comparison.methods),
        difference=f"difference to {comparison.baseline}" if several else "",
        left_out=tuple(Remark(f"{each.run.path} {each.reason}", each.remedy) for each in comparison.left_out),
        warnings=comparison.warnings,
        notes=(*comparison.notes, *(study.notes(comparison.tasks) if study else ())),
        mismatch=plain(mismatch_table(comparison.mismatches)) if comparison.mismatches else None,
        tables=tuple(map(plain, tables)),
        recipes=recipes,
        recipe_remarks=unreadable,
        found=around.found,
        runs_diagnosed=around.runs_diagnosed,
        files_diagnosed=around.files_diagnosed,
        explanations=tuple(explanations(comparison, runs, around.bootstrap_seed)),
        runs=_runs(runs),
        command=around.command,
        written=f"Written by mtctl {__version__} at {now()}.",
        comparison=as_document(comparison, study),
        charts=charts(comparison, read),
    )


def _title(comparison: Comparison) -> str:
    count = len(comparison.methods)
    return (
        f"{comparison.problem}: {count} methods compared"
        if count > 1
        else f"{comparison.problem}: {comparison.methods[0].label}"
    )


def _lead(comparison: Comparison, runs: Sequence[Run]) -> str:
    tasks, better = len(comparison.tasks), "higher" if comparison.score.higher_is_better else "lower"
    return (
        f"{len(runs):,} run{'s' if len(runs) > 1 else ''} of {comparison.problem} on {tasks} "
        f"task{'s' if tasks > 1 else ''} ({', '.join(comparison.tasks)}); the score is "
        f"{comparison.score.name}, and {better} is better."
    )


def _facts(comparison: Comparison, runs: Sequence[Run]) -> Iterable[Fact]:
    best = comparison.methods[0]
    several = len(comparison.methods) > 1
    yield Fact("best average" if several else "average", _estimate(best.average), best.label)
    if several:
        baseline = next(each for each in comparison.methods if each.label == comparison.baseline)
        yield Fact("baseline", _estimate(baseline.average), baseline.label)
        yield Fact("methods", f"{len(comparison.methods):,}", _outcomes(comparison.methods))
    fewest, most = (pick(len(each.seeds) for each in comparison.methods) for pick in (min, max))
    seeds = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    yield Fact("seeds of each method" if several else "seeds", seeds, f"{len(runs):,} runs in all")


def _outcomes(methods: Sequence[ComparedMethod]) -> str:
    kinds = [_kind(method) for method in methods]
    words = {
        "better": "better",
        "worse": "worse",
        "unclear": "not distinguishable",
        "none": "without verdict",
    }
    return ", ".join(f"{kinds.count(kind)} {word}" for kind, word in words.items() if kind in kinds)


def _kind(method: ComparedMethod) -> Kind:
    if method.verdict in _KINDS:
        return _KINDS[method.verdict]
    return "none" if method.difference is None or method.difference.p_value is None else "unclear"


def _verdict(comparison: Comparison, method: ComparedMethod) -> Verdict:
    difference = method.difference
    ends = None if difference is None else difference.interval
    return Verdict(
        label=method.label,
        kind=_kind(method),
        sentence=_sentence(comparison, method),
        average=f"{_estimate(method.average)} {comparison.score.name}",
        mean=None if difference is None else difference.mean,
        low=None if ends is None else ends.low,
        high=None if ends is None else ends.high,
    )


def _sentence(comparison: Comparison, method: ComparedMethod) -> str:
    """Say in one sentence what is to be made of a method."""
    difference, baseline, seeds = method.difference, comparison.baseline, len(method.seeds)
    if difference is None:
        over = "one seed, so it has no interval" if seeds == 1 else f"{seeds:,} seeds"
        compared = " The others are compared with it." if len(comparison.methods) > 1 else ""
        return f"Measured with {over}.{compared}"
    by = f"{number(difference.mean, sign=True)} {comparison.score.name} on average"
    if difference.p_value is None:
        return (
            f"It differs from {baseline} by {by}; with "
            f"{'one seed' if difference.common_seeds else 'no seed'} in common, that may be chance."
        )
    figures = f"{by}, 95 % interval {interval(difference.interval, sign=True)}, {_chance(difference)}"
    if difference.found:
        return f"It is {method.verdict} than {baseline}: {figures}, with {difference.common_seeds:,} seeds."
    needed = method.verdict.partition(", ")[2]
    seeds_used = f"{difference.common_seeds:,} seeds"
    return f"It is not distinguishable from {baseline} with {seeds_used}: {figures}; {needed}."


def _chance(difference: Difference) -> str:
    if difference.adjusted is None:
        return f"p {NOTHING}"
    return f"p < {_SMALLEST_P:g}" if difference.adjusted < _SMALLEST_P else f"p = {difference.adjusted:.3f}"


def _estimate(found: Estimate) -> str:
    half = "" if found.half_width is None else f" ± {number(found.half_width)}"
    return f"{number(found.mean)}{half}"


def _runs(runs: Sequence[Run]) -> PageTable:
    """Return where every figure comes from."""
    return PageTable(
        "Each run, and the command that trained it",
        (
            PageColumn("run", tuple(str(run.path) for run in runs), text=True),
            PageColumn("seed", tuple(f"{run.seed}" for run in runs)),
            PageColumn("status", tuple(run.status for run in runs), text=True),
            PageColumn(f"{runs[0].unit}s", tuple(f"{run.budget.done:,}" for run in runs)),
            PageColumn("wall clock", tuple(duration(run.seconds.total) for run in runs)),
            PageColumn("started", tuple(run.started or NOTHING for run in runs), text=True),
            PageColumn("recipe", tuple(run.recipe_hash[:12] for run in runs), text=True),
            PageColumn("command", tuple(run.command for run in runs), text=True),
        ),
    )
