"""What `mtctl compare` shows of trainings: how soon they arrive, how tasks share, costs; published ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.efficiency import AVERAGE, Reaching
from mtctl.analysis.methods import ComparedMethod
from mtctl.analysis.tuning import tuning_text
from mtctl.screens.figures import NOTHING, duration, measure, number, percent
from mtctl.screens.tables import Column, StackedTable

if TYPE_CHECKING:
    from mtctl.problems.kind import Published


def reaching(comparison: Comparison, names: Column) -> Iterator[StackedTable]:
    """Yield how much training the average and each task needed to reach the threshold, where it is known."""
    by_method = [method.reaching for method in comparison.methods]
    known = next((each for each in by_method if each), None)
    if known is None:
        return
    sign = "≥" if comparison.score.higher_is_better else "≤"
    alike = len({each.threshold for each in known.values()}) == 1
    aim = f"{sign} {known[AVERAGE].threshold:g}" if alike else f"the score where {comparison.baseline} ends"
    averages = [each.get(AVERAGE) for each in by_method]
    counted = "environment steps" if comparison.played else "updates"
    yield StackedTable(
        f"Training until {aim}: median over runs of the first evaluation there, others censored",
        names,
        [
            Column(
                "arrived",
                (NOTHING if each is None else f"{each.reached}/{each.runs}" for each in averages),
            ),
            Column(f"{comparison.unit}s", map(_units, averages)),
            Column(counted, map(_amount, averages)),
        ],
        tuple(
            Column(f"{task}: {comparison.unit}s", (_units(each.get(task)) for each in by_method))
            for task in comparison.tasks
        ),
    )


def _units(reached: Reaching | None) -> str:
    return NOTHING if reached is None else _censored(reached.units, reached.longest)


def _amount(reached: Reaching | None) -> str:
    return NOTHING if reached is None else _censored(reached.amount, reached.largest)


def _censored(median: float | None, longest: float | None) -> str:
    """Return the median, or how far the runs were followed that did not arrive."""
    return number(median, 0) if median is not None else f"> {number(longest, 0)}"


def sharing(comparison: Comparison, names: Column) -> Iterator[StackedTable]:
    """Yield how tasks shared: conflicts between gradients, weights at the beginning and at the end."""
    methods = comparison.methods
    rates = [None if method.sharing is None else method.sharing.conflict_rate for method in methods]
    weighted = [
        task for task in comparison.balanced if any(_weights(method, task) != NOTHING for method in methods)
    ]
    if not weighted and not any(rate is not None for rate in rates):
        return
    yield StackedTable(
        "Sharing: how often gradients of two tasks conflict; weights in the first → last tenth of training",
        names,
        [
            Column("conflicts", map(percent, rates)),
            *(Column(task, (_weights(method, task) for method in methods)) for task in weighted),
        ],
    )


def _weights(method: ComparedMethod, task: str) -> str:
    shared = method.sharing
    if shared is None or task not in shared.first or task not in shared.last:
        return NOTHING
    return f"{measure(shared.first[task])} → {measure(shared.last[task])}"


def budgets(comparison: Comparison, names: Column) -> StackedTable:
    """Return what each method was given, and what it cost."""
    methods = comparison.methods
    spent = [method.spending for method in methods]
    steps = Column("environment steps", (number(each.environment_steps, 0) for each in spent))
    pace = "steps per second" if comparison.played else "updates per second"
    score = f"{comparison.score.name} per 1,000 parameters"
    return StackedTable(
        "Budgets: means per run; tuning: runs that a recipe's settings were chosen by, as it declares",
        names,
        [
            Column(f"{comparison.unit}s", (f"{each.units:,.0f}" for each in spent)),
            *([steps] if comparison.played else []),
            Column("updates", (f"{each.updates:,.0f}" for each in spent)),
            Column("samples per update", (_samples(each.samples_per_update) for each in spent)),
            Column("parameters", (f"{method.parameters.total:,}" for method in methods)),
            Column("wall clock", (duration(each.seconds) for each in spent)),
        ],
        [
            Column(score, (measure(method.per_thousand_parameters) for method in methods)),
            Column(pace, (number(each.pace, 0) for each in spent)),
            Column("memory MB", (number(each.memory_mb, 0) for each in spent)),
            Column("tuning", (tuning_text(method.tuning) for method in methods), text=True),
        ],
    )


def published_table(study: Published) -> StackedTable:
    """Return published figures, apart from what was measured."""
    rows = study.rows
    return StackedTable(
        f"Published, not measured here: {study.protocol}",
        Column("method", (row.method for row in rows), text=True),
        [
            *(Column(task, (number(row.scores[task]) for row in rows)) for task in rows[0].scores),
            Column("average", (number(row.average) for row in rows)),
            Column("parameters", (f"{row.parameters:,}" for row in rows)),
        ],
        [Column("what differs", (row.differs for row in rows), text=True)],
    )


def _samples(per_update: float) -> str:
    """Return rows per update; a loop of one's own does not tell them."""
    return f"{per_update:,.0f}" if per_update else "–"
