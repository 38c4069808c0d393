"""A table of the scalars as CSV: a row for each record, a column for each tag in the order of their coming.

A tag that comes later is a further column: the file is written anew then, which only happens while the first
of everything comes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mtctl.engine.files import open_to_append, write_text
from mtctl.engine.logs.scalars import Point

_STEP: Final = "step"


class CsvLog:
    """Writes a file that is a complete table after every row, in place of the one that was there.

    Args:
        file: the table.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        self._columns: dict[str, None] = {}
        self._replace([])

    def write(self, point: Point) -> None:
        if point.scalars.keys() - self._columns.keys():
            self._file.close()
            rows = list(csv.reader(io.StringIO(self._path.read_text(encoding="utf-8"))))[1:]
            self._columns |= dict.fromkeys(point.scalars)
            width = 1 + len(self._columns)
            self._replace([row + [""] * (width - len(row)) for row in rows])
        self._file.write(_text([_row(point, self._columns)]).encode())
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _replace(self, rows: list[list[str]]) -> None:
        write_text(self._path, _text([[_STEP, *self._columns], *rows]))
        self._file = open_to_append(self._path)


def table_text(points: Iterable[Point]) -> str:
    """Return the table that a log of these points would be."""
    known = list(points)
    columns = dict.fromkeys(tag for point in known for tag in point.scalars)
    return _text([[_STEP, *columns], *(_row(point, columns) for point in known)])


def _row(point: Point, columns: Iterable[str]) -> list[str]:
    cells = (_number(point.scalars[column]) if column in point.scalars else "" for column in columns)
    return [str(point.step), *cells]


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _text(rows: Iterable[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
