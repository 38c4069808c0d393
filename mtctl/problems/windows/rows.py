"""One row of a file of windows: what each cell must hold, and what is reported where it does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np

from mtctl.problems.windows.windows import LENGTH, PRICES, TYPES, Floats
from mtctl.yaml.mistakes import closest, shortened

PARTICULARS: Final = ("window_id", "label", "expansion_start", "expansion_end")
WIDE: Final = tuple(f"{price}_{bar}" for bar in range(LENGTH) for price in PRICES)
"""Columns of prices, bar after bar."""
NESTED: Final = "bars"
"""The column that may stand for all of them where a cell can hold a list."""
OPTIONAL: Final = "base_id"

Report: TypeAlias = Callable[[str, object, str], None]
"""Takes the column, what was found in it and what was expected."""


@dataclass(frozen=True, slots=True)
class Row:
    """A window as it stands in the file; prices are [420], bar after bar.

    Where a cell is of no use a placeholder stands, and a report tells of it.
    """

    window_id: str
    label: int
    start: int
    end: int
    prices: Floats
    base_id: str | None


def shown(cell: object) -> str:
    """Return what a cell holds, on one line of printable characters."""
    if isinstance(cell, list) and len(cell) > len(PRICES):
        return f"a list of {len(cell)}"
    return "empty" if cell is None or cell == "" else shortened(repr(cell))


class RowReader:
    """Reads rows of one file.

    Args:
        columns: names of the columns; all that are required are among them, each once.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        place = {name: index for index, name in enumerate(columns)}
        self._particulars = itemgetter(*(place[name] for name in PARTICULARS))
        self._is_nested = NESTED in place
        self._prices = itemgetter(*(place[name] for name in ((NESTED,) if self._is_nested else WIDE)))
        self._base_id = place.get(OPTIONAL)

    def read(self, cells: Sequence[object], report: Report) -> Row:
        """Return the row in `cells`, one for each column."""
        window_id, label, start, end = self._particulars(cells)
        prices = self._prices(cells)
        base_id = None if self._base_id is None else cells[self._base_id]
        return Row(
            _name(PARTICULARS[0], window_id, report),
            _label(label, report),
            *_span(start, end, report),
            _prices(_unnested(prices, report) if self._is_nested else prices, report),
            _name(OPTIONAL, base_id, report) if base_id not in (None, "") else None,
        )


def _name(column: str, cell: object, report: Report) -> str:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # pandas holds whole numbers as floats where one of them is missing
    text = str(cell).strip() if isinstance(cell, str | int) else ""
    if not text or not text.isprintable():
        report(column, cell, "printable text or a whole number")
        return ""
    return text


def _label(cell: object, report: Report) -> int:
    text = str(cell).strip()
    if text in TYPES:
        return TYPES.index(text)
    guess = closest(text, TYPES)
    report("label", cell, " or ".join(TYPES) + (f": did you mean `{guess}`?" if guess else ""))
    return 0


def _span(start: object, end: object, report: Report) -> tuple[int, int]:
    first, last = _bar("expansion_start", start, report), _bar("expansion_end", end, report)
    if first is not None and last is not None and last < first:
        report("expansion_end", end, f"at least `expansion_start`, {first}")
    return first or 0, last or 0


def _bar(column: str, cell: object, report: Report) -> int | None:
    number = _number(cell)
    if number is None or not number.is_integer():
        report(column, cell, f"a whole number from 0 to {LENGTH - 1}")
    elif not 0 <= number < LENGTH:
        report(column, cell, f"a bar from 0 to {LENGTH - 1}")
    else:
        return int(number)
    return None


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def _unnested(bars: object, report: Report) -> Sequence[object] | None:
    """Return the 420 prices in a cell of lists; None, after reporting what was found instead."""
    if not isinstance(bars, list) or len(bars) != LENGTH:
        report(NESTED, bars, f"a list of {LENGTH} bars")
        return None
    for index, bar in enumerate(bars):
        if not isinstance(bar, list) or len(bar) != len(PRICES):
            report(f"{NESTED}[{index}]", bar, f"a list of {', '.join(PRICES)}")
            return None
    return [price for bar in bars for price in bar]


def _prices(cells: Sequence[Any] | None, report: Report) -> Floats:
    if cells is None:
        return np.full(len(WIDE), np.nan)
    try:
        values = np.fromiter(map(float, cells), np.float64, count=len(WIDE))
    except (TypeError, ValueError, OverflowError):
        values = np.full(len(WIDE), np.nan)
    opened, high, low, closed = values.reshape(LENGTH, len(PRICES)).T
    inside = (low <= opened) & (opened <= high) & (low <= closed) & (closed <= high)
    if not (inside & (low > 0) & (high < np.inf)).all():
        for bar in range(LENGTH):
            _report_bar(bar, cells[len(PRICES) * bar :][: len(PRICES)], report)
    return values


def _report_bar(bar: int, cells: Sequence[Any], report: Report) -> None:
    """Report every price of a bar that is none, or if all are, those that contradict one another."""
    wrong = [_expected(_number(cell)) for cell in cells]
    for price, cell, expected in zip(PRICES, cells, wrong, strict=True):
        if expected:
            report(f"{price}_{bar}", cell, expected)
    if any(wrong):
        return
    opened, high, low, closed = map(float, cells)
    if high < low:
        report(f"high_{bar}", cells[1], f"at least `low_{bar}`, {low!r}")
        return
    for price, value, cell in (("open", opened, cells[0]), ("close", closed, cells[3])):
        if not low <= value <= high:
            limits = f"a price from `low_{bar}` to `high_{bar}`, {low!r} to {high!r}"
            report(f"{price}_{bar}", cell, limits)


def _expected(price: float | None) -> str | None:
    """Return what a price should have been; None if it could be one."""
    if price is None:
        return "a number"
    if not math.isfinite(price):
        return "a finite number"
    return None if price > 0 else "a price above 0"
