"""Figures from elsewhere: a CSV or JSONL file as columns of numbers, or one clear error."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mtctl.engine import layout
from mtctl.engine.files import is_stream
from mtctl.errors import MtctlError
from mtctl.history.documents import decode, show
from mtctl.reading import LARGEST, read_bytes, require_room
from mtctl.text import show_text

DELIMITERS: Final = ",;\t"
_WHAT_IT_IS: Final = "a metrics file is CSV with a line of names on top, or JSONL with an object in each line"
_NUMBER: Final = "write a number, nan or inf, or leave the cell empty where nothing was logged"
_NEEDS: Final = 18.0
"""Bytes of memory for a byte of such a file, measured on one of a million rows …"""
_ROW: Final = 150
"""… and for a row, however short it is."""
_DEEPEST: Final = 32
"""Objects inside one another whose names are joined to one column's."""
_LONGEST_NAME: Final = 200
"""Characters of a name that is joined from nested objects': such names could otherwise outgrow their file."""
_LINE_END: Final = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class MetricsTable:
    """Rows and named columns.

    Args:
        path: the file.
        names: of the columns, in their order.
        rows: cells by row: text by place from CSV, JSON values by name from JSONL; "", None or nothing where
            there is none.
        lines: each row's place in the file, counted from 1.
        text: the file's content, to find the place of a cell.
        delimiter: between cells; "" for JSONL.
        cut_off: says that the last line was cut off and left out; None if it was not.
    """

    path: Path
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]] | Sequence[Mapping[str, Any]]
    lines: Sequence[int]
    text: str
    delimiter: str
    cut_off: str | None

    def numbers(self, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return a column's values [n], which need not be finite, and the rows [n] that have one.

        Raises:
            MtctlError: a cell holds something else than a number: with its line and column.
        """
        place = self.names.index(name)
        column = [cells.get(name) if isinstance(cells, Mapping) else cells[place] for cells in self.rows]
        rows = [row for row, cell in enumerate(column) if not _is_empty(cell)]
        values = []
        for row in rows:
            try:
                values.append(_number(column[row]))
            except (ValueError, OverflowError) as error:
                at = f"{self.path}:{self.lines[row]}:{self._column(row, place)}"
                text = f"{at}: {show(column[row])} in column `{show_text(name)}` is not a number"
                raise MtctlError(text, hint=_NUMBER) from error
        return np.array(values, dtype=np.float64), np.array(rows, dtype=np.int64)

    def _column(self, row: int, place: int) -> int:
        """Return where in its line a cell begins, counted from 1."""
        line = _LINE_END.split(self.text)[self.lines[row] - 1]
        if not self.delimiter:
            return max(0, line.find(json.dumps(self.names[place].rsplit("/", 1)[-1], ensure_ascii=False))) + 1
        starts, quoted = [0], False
        for index, character in enumerate(line):
            quoted ^= character == '"'
            if character == self.delimiter and not quoted:
                starts.append(index + 1)
        return starts[place] + 1 if place < len(starts) else 1


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _number(cell: Any) -> float:
    # Python reads 1_000 as a number; a file that holds it was not written as one.
    if isinstance(cell, str) and "_" not in cell:
        return float(cell)
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return float(cell)
    raise ValueError


def read_table(path: Path) -> MetricsTable:
    """Return a metrics file as a table.

    Args:
        path: ends in .csv, or in .jsonl or .ndjson; a pipe (`<(…)`, /dev/stdin) may have any name: what
            begins with `{` is JSONL.

    Raises:
        MtctlError: it cannot be read, is empty, is neither, or is not what its name says.
    """
    readers = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None and not is_stream(path):
        raise MtctlError(
            f"{path} is not a metrics file: its name does not end in .csv or .jsonl", hint=_WHAT_IT_IS
        )
    if path.name == layout.METRICS and (path.parent / layout.RUN).is_file():
        raise MtctlError(
            f"{path} belongs to a run",
            hint=f"diagnose the run, which says more: `mtctl diagnose {path.parent}`",
        )
    content = read_bytes(path, remedy=_WHAT_IT_IS, needs=_NEEDS, pipes=True)
    needs = _NEEDS + _ROW * (content.count(b"\n") + content.count(b"\r")) / max(1, len(content))
    require_room(path, len(content), largest=LARGEST, needs=needs, remedy=_WHAT_IT_IS)
    text = decode(content, str(path), remedy=_WHAT_IT_IS).removeprefix("\ufeff")
    if not text.strip():
        raise MtctlError(f"{path} is empty", hint=_WHAT_IT_IS)
    if reader is None:
        reader = _jsonl if text.lstrip().startswith("{") else _csv
    return reader(path, text)


def _csv(path: Path, content: str) -> MetricsTable:
    header = content.lstrip("\r\n").partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows, lines = [], []
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        line = 1
        for row in reader:
            if row:
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1  # a quoted cell may hold line breaks
    except csv.Error as error:
        raise MtctlError(f"{path}:{reader.line_num} is not valid CSV: {error}", hint=_WHAT_IT_IS) from error
    names = tuple(name.strip() for name in rows.pop(0))
    lines.pop(0)
    if all(map(_is_number, names)):
        raise MtctlError(f"{path}:1: expected the names of the columns, got numbers", hint=_WHAT_IT_IS)
    cut_off = None
    if rows and len(rows[-1]) < len(names) and not content.endswith(("\n", "\r")):
        cut_off = f"{path}:{lines[-1]} is cut off and was left out"
        rows.pop()
        lines.pop()
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            text = f"{path}:{line} has {len(row)} cells, but there are {len(names)} columns"
            raise MtctlError(text, hint="every line needs as many cells as the first; cells may be empty")
    return MetricsTable(path, names, rows, lines, content, delimiter, cut_off)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _jsonl(path: Path, text: str) -> MetricsTable:
    lines = text.split("\n")
    objects, numbers, cut_off = [], [], None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            objects.append(_object(line, f"{path}:{number}"))
        except MtctlError:
            if number < len(lines) or len(objects) == 0:
                raise
            # A file that is still being written ends anywhere; complete lines end with a newline.
            cut_off = f"{path}:{number} is cut off and was left out"
            continue
        numbers.append(number)
    names = tuple(dict.fromkeys(name for each in objects for name in each))
    return MetricsTable(path, names, objects, numbers, text, "", cut_off)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise MtctlError(
            f"{place}:{error.colno} is not valid JSON: {error.msg.lower()}", hint=_WHAT_IT_IS
        ) from error
    except ValueError as error:  # an integer of thousands of digits
        raise MtctlError(f"{place} is not valid JSON: {error}", hint=_WHAT_IT_IS) from error
    except RecursionError as error:
        raise MtctlError(f"{place} is nested too deeply", hint=_WHAT_IT_IS) from error
    if not isinstance(value, Mapping):
        raise MtctlError(f"{place} is {show(value)}, not an object", hint=_WHAT_IT_IS)
    if not any(isinstance(inner, dict) for inner in value.values()):
        return dict(value)
    return dict(_flat("", value, place, _DEEPEST))


def _flat(above: str, value: Mapping[str, Any], place: str, levels: int) -> Iterator[tuple[str, Any]]:
    if not levels:
        raise MtctlError(f"{place} nests objects more than {_DEEPEST} levels deep", hint=_WHAT_IT_IS)
    for key, inner in value.items():
        name = f"{above}/{key}" if above else key
        if above and len(name) > _LONGEST_NAME:
            text = f"{place} has nested names of more than {_LONGEST_NAME} characters together"
            raise MtctlError(text, hint=_WHAT_IT_IS)
        if isinstance(inner, Mapping):
            yield from _flat(name, inner, place, levels - 1)
        else:
            yield name, inner
