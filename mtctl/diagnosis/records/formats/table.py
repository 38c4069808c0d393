"""A log of figures as rows and named columns, whatever it was written as."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from mtctl.errors import MtctlError
from mtctl.history.documents import show
from mtctl.text import show_text

WHAT_IT_IS: Final = (
    "a metrics file is CSV with a line of names on top, JSON or JSONL, a TensorBoard event file or a text log"
)
_NUMBER: Final = "write a number, nan or inf, or leave the cell empty where nothing was logged"
_MISSING: Final = frozenset({"", "na", "n/a", "<na>", "none", "null", "-", "--"})
"""What tools write where there is no value. NaN is one: that of a loss that was computed."""
_DIGITS: Final = frozenset("0123456789")
_DECIMAL_COMMA: Final = re.compile(r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class MetricsTable:
    """Rows and named columns.

    Args:
        path: the file.
        names: of the columns, in their order.
        rows: cells by row: text by place, or values by name; what is missing is "", None or left out.
        lines: each row's place in the file, counted from 1; empty where it has no lines.
        column_at: returns where in its line a cell begins, from the row and the column's name.
        notes: what a reader should know, such as a last line that was cut off.
        decimal_comma: whether 0,5 is a half.
    """

    path: Path
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]] | Sequence[Mapping[str, Any]]
    lines: Sequence[int] = ()
    column_at: Callable[[int, str], int] | None = None
    notes: tuple[str, ...] = ()
    decimal_comma: bool = False

    def cells(self, name: str) -> list[Any]:
        """Return a column's cells, one for each row."""
        if self.rows and isinstance(self.rows[0], Mapping):
            return [row.get(name) for row in cast("Sequence[Mapping[str, Any]]", self.rows)]
        index = self.names.index(name)
        return [row[index] for row in cast("Sequence[Sequence[str]]", self.rows)]

    def filled(self, name: str) -> list[int]:
        """Return the rows in which a column has a value."""
        return [row for row, cell in enumerate(self.cells(name)) if not is_missing(cell)]

    def numbers(self, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return a column's values [n], which need not be finite, and the rows [n] that have one.

        Raises:
            MtctlError: a cell holds something else than a number: with its line and column.
        """
        column = self.cells(name)
        rows = [row for row, cell in enumerate(column) if not is_missing(cell)]
        values = []
        for row in rows:
            try:
                values.append(self._number(column[row]))
            except (ValueError, OverflowError) as error:
                what = f"{show(column[row])} in column `{show_text(name)}`"
                text = f"{self.place(row, name)}: {what} is not a number"
                raise MtctlError(text, hint=_NUMBER) from error
        return np.array(values, dtype=np.float64), np.array(rows, dtype=np.int64)

    def place(self, row: int, name: str | None = None) -> str:
        """Return where a row is, or its cell in a column: metrics.csv:7:12."""
        if not self.lines:
            return str(self.path)
        column = "" if name is None or self.column_at is None else f":{self.column_at(row, name)}"
        return f"{self.path}:{self.lines[row]}{column}"

    def _number(self, cell: Any) -> float:
        if self.decimal_comma and isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        return number(cell)


def is_missing(cell: Any) -> bool:
    """Say whether a cell holds no value."""
    if cell.__class__ is str:
        return cell[:1] not in _DIGITS and cell.strip().lower() in _MISSING
    return cell is None


def number(cell: Any) -> float:
    """Return the number that a cell holds.

    Raises:
        ValueError: it holds none.
        OverflowError: it holds an integer of hundreds of digits.
    """
    # Python reads 1_000 as a number; a file that holds it was not written as one.
    kind = cell.__class__
    if kind is float or kind is int or (kind is str and "_" not in cell):
        return float(cell)
    raise ValueError


def is_number(cell: Any) -> bool:
    """Say whether a cell holds a number."""
    try:
        number(cell)
    except (ValueError, OverflowError):
        return False
    return True
