"""What `mtctl compare` shows of seeds: where the mean lies, where one more run will score, profiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.methods import ComparedMethod
from mtctl.analysis.profiles import Profile, profiles, quartiles
from mtctl.analysis.tolerance import FEWEST, SHARE, Tolerance, seeds_for_any_shape
from mtctl.screens.figures import NOTHING, interval, measure, number, percent
from mtctl.screens.tables import Column, StackedTable
from mtctl.statistics import LEVEL

_ENOUGH: Final = 20
"""Seeds from which the bootstrap stands alone: below, its intervals are too narrow, and t's stand beside."""
_NORMAL: Final = "about normal"
_ANY: Final = "any shape"


def one_more_run(comparison: Comparison, names: Column) -> Iterator[StackedTable]:
    """Yield where the mean lies, by either interval, and where one more run will score; not of one run."""
    methods = comparison.methods
    tolerances = [method.tolerance for method in methods]
    if not any(tolerances):
        return
    told = [f"Where the mean {comparison.score.name} lies (95 %), and where one more run will score"]
    columns = []
    means = [method.aggregates["mean"].interval for method in methods]
    if any(means):
        told.append(
            "Bootstrap: each task's seeds are resampled apart, too narrow with few seeds or where a run's "
            "tasks go together"
        )
        columns.append(Column("bootstrap", map(interval, means)))
    if any(FEWEST <= len(method.seeds) < _ENOUGH for method in methods):
        told.append("Student t: right with few seeds too, if runs are about normal")
        columns.append(Column("Student t", (interval(method.average.interval) for method in methods)))
    told.append(
        f"One more run: at least {100 * SHARE:.0f} % of runs score within, with {100 * LEVEL:.0f} % "
        f"confidence, if they are {_NORMAL}; from {seeds_for_any_shape()} seeds on, whatever their shape"
    )
    ends = [None if each is None else each.interval for each in tolerances]
    columns.append(Column("one more run", map(interval, ends)))
    if any(each is not None and each.any_shape for each in tolerances):
        columns.append(Column("if runs are", map(_assumed, tolerances), text=True))
    yield StackedTable(". ".join(told), names, columns)


def _assumed(tolerance: Tolerance | None) -> str:
    if tolerance is None:
        return NOTHING
    return _ANY if tolerance.any_shape else _NORMAL


def one_more_run_text(method: ComparedMethod) -> str:
    """Say where one more run of a method will score; "" where there is no telling."""
    tolerance = method.tolerance
    if tolerance is None:
        return ""
    shape = "whatever their shape" if tolerance.any_shape else "if they are about normal"
    ends = tolerance.interval
    return (
        f"one more run will score {number(ends.low)} to {number(ends.high)}: so do at least "
        f"{100 * SHARE:.0f} % of runs, with {100 * LEVEL:.0f} % confidence, {shape}"
    )


def profile_table(comparison: Comparison, names: Column) -> Iterator[StackedTable]:
    """Yield which share of each method's runs and tasks is above the quartiles of all compared scores.

    Nothing where there is nothing to compare with, or no method has the seeds for an interval.
    """
    thresholds = quartiles(comparison)
    found = profiles(comparison, thresholds)
    shown = [found[method.label] for method in comparison.methods]
    if len(shown) == 1 or all(each.ends is None for each in shown):
        return
    yield StackedTable(
        "Performance profile: share of runs × tasks whose normalised score is above τ, with bootstrap 95 % "
        "intervals; a task's worst compared run is 0 and its best 1, and the three τ are the quartiles of "
        "all these scores",
        names,
        [
            Column(f"τ = {measure(float(threshold))}", (_share(each, at) for each in shown))
            for at, threshold in enumerate(thresholds)
        ],
    )


def _share(profile: Profile, at: int) -> str:
    share = percent(float(profile.shares[at]))
    if profile.ends is None:
        return share
    low, high = (f"{100 * float(end):.0f}" for end in profile.ends[:, at])
    return f"{share} [{low}, {high}]"
