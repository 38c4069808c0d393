"""What `mtctl bench` shows: time over equal weights, and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mtctl.measuring.bench import EQUAL, Cost
from mtctl.screens.tables import Column, StackedTable


def cost_tables(by_place: Mapping[str, Sequence[Cost]]) -> Iterator[StackedTable]:
    """Yield a table of times and one of memory: a line for each method, a column for each place."""
    names = Column("method", (cost.kind for cost in next(iter(by_place.values()))), text=True)
    yield StackedTable(
        "Time of an update relative to equal weights (quartiles)",
        names,
        tuple(Column(place, map(_time, costs)) for place, costs in by_place.items()),
    )
    yield StackedTable(
        "Peak memory of an update's tensors, MB",
        names,
        tuple(Column(place, (f"{cost.peak_mb:,.1f}" for cost in costs)) for place, costs in by_place.items()),
    )


def _time(cost: Cost) -> str:
    if cost.kind == EQUAL:
        return f"{cost.milliseconds:.2f} ms"
    return f"{cost.ratio.median:.2f}× ({cost.ratio.low:.2f}–{cost.ratio.high:.2f})"
