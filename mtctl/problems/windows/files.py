"""Labelled windows from a file: every mistake in it is named, with its place and what was expected there.

A row is one window; columns may stand in any order:

    window_id                       text or whole number, its own for every row
    open_0, high_0, … close_104     prices of the 105 bars, all above 0; low ≤ open ≤ high, low ≤ close ≤ high
    label                           consolidation or retracement: what came before the expansion
    expansion_start, expansion_end  the expansion's first and last bar, 0 ≤ start ≤ end ≤ 104
    base_id (optional)              the same for rows that were cut from one stretch of prices

In parquet, one column `bars` may stand for the 420 of prices: a list of 105 lists of open, high, low, close.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from mtctl.errors import MtctlError
from mtctl.problems.windows.rows import NESTED, OPTIONAL, PARTICULARS, WIDE, Row, RowReader, shown
from mtctl.problems.windows.splits import find_bases
from mtctl.problems.windows.tables import DataTable, open_table
from mtctl.problems.windows.windows import LENGTH, PRICES, LabelledWindows
from mtctl.yaml.mistakes import closest

_SHOWN: Final = 20
"""Problems on screen: more would push the first ones off it."""
_NAMED: Final = 5
"""Missing columns that are named."""
_INDEX: Final = "pandas writes its index like this: use to_csv(…, index=False)"
_REMEDY: Final = (
    f"a row holds window_id, {WIDE[0]} … {WIDE[-1]} ({LENGTH} bars of {', '.join(PRICES)}), label,\n"
    f"expansion_start, expansion_end and, optionally, base_id;\n"
    f"in parquet, a column `{NESTED}` of {LENGTH} lists of {len(PRICES)} can stand for the prices"
)


def read_windows(path: Path) -> LabelledWindows:
    """Read labelled windows from a .csv or .parquet file in the schema above.

    `base` joins rows with the same `base_id` and rows that overlap, see `find_bases`.

    Raises:
        MtctlError: if the file cannot be read, or lists what in it does not fit the schema.
    """
    with open_table(path) as table:
        problems = _Problems()
        _check_columns(table, problems)
        problems.stop(path)
        rows = list(_rows(table, problems))
        problems.stop(path)
    if not rows:
        raise MtctlError(f"{path} holds no windows: nothing follows the names of the columns", hint=_REMEDY)
    bars = np.stack([row.prices for row in rows]).reshape(-1, LENGTH, len(PRICES))
    label, start, end = np.array([[row.label, row.start, row.end] for row in rows], dtype=np.int64).T
    base = find_bases(bars, [row.base_id for row in rows])
    return LabelledWindows(bars, label, start, end, tuple(row.window_id for row in rows), base)


class _Problems:
    """Everything that is wrong with a file; the first ones in words."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[str] = []

    @property
    def full(self) -> bool:
        return len(self.lines) == _SHOWN

    def add(self, place: str, text: str) -> None:
        self.count += 1
        if not self.full:
            self.lines.append(f"  {place}: {text}")

    def add_cell(self, place: str, column: str, found: object, expected: str) -> None:
        self.add(place, "" if self.full else f"`{column}` is {shown(found)}, expected {expected}")

    def stop(self, path: Path) -> None:
        """Raise what was collected, if there is anything."""
        if not self.count:
            return
        count = "1 problem" if self.count == 1 else f"{self.count} problems"
        more = [f"  and {self.count - _SHOWN} more"] if self.count > _SHOWN else []
        raise MtctlError(
            "\n".join([f"{path} does not hold windows in mtctl's schema ({count})", *self.lines, *more]),
            hint=_REMEDY,
        )


def _check_columns(table: DataTable, problems: _Problems) -> None:
    prices = (NESTED,) if table.nested and NESTED in table.columns else WIDE
    required = (*PARTICULARS, *prices)
    missing = [name for name in required if name not in table.columns]
    seen: set[str] = set()
    meant: set[str] = set()
    for number, column in enumerate(table.columns, start=1):
        if column in seen:
            problems.add(table.head, f"column {shown(column)} occurs more than once")
        elif not column:
            problems.add(table.head, f"column {number} has no name ({_INDEX})")
        elif column not in {*required, OPTIONAL}:
            guess = None if problems.full else closest(column, missing)
            note = f"did you mean `{guess}`?" if guess else "leave it out"
            problems.add(table.head, f"unknown column {shown(column)}: {note}")
            meant |= {guess} if guess else set()
        seen.add(column)
    if absent := [f"`{name}`" for name in missing if name not in meant]:
        more = [f"and {len(absent) - _NAMED} more"] if len(absent) > _NAMED else []
        problems.add(table.head, f"missing: {', '.join([*absent[:_NAMED], *more])}")


def _rows(table: DataTable, problems: _Problems) -> Iterator[Row]:
    reader = RowReader(table.columns)
    first: dict[str, str] = {}
    for number, cells in table.rows:
        place = table.place(number)
        if len(cells) != len(table.columns):
            expected = f"{len(table.columns)} as in the first line"
            problems.add(place, f"found {len(cells)} fields, expected {expected}")
            continue
        row = reader.read(cells, partial(problems.add_cell, place))
        if row.window_id and first.setdefault(row.window_id, place) != place:
            taken = f"a new one: {first[row.window_id]} has it too"
            problems.add_cell(place, "window_id", row.window_id, taken)
        yield row
