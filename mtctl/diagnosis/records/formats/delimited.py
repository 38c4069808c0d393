"""CSV and its relatives: tabs, semicolons or blanks between columns, decimal commas, a comment on top."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Final

from mtctl.diagnosis.records.column_names import counter_of
from mtctl.diagnosis.records.formats.table import WHAT_IT_IS, MetricsTable, is_number
from mtctl.errors import MtctlError

_DELIMITERS: Final = ",;\t"
_LINE_END: Final = re.compile("\r\n|\r|\n")
_CLOCKS: Final = {"wall time", "wall_time", "time", "timestamp", "walltime"}
_VALUES: Final = {"value", "values", "val"}
_EXPORT_NAME: Final = re.compile(r"run-.*?-tag-(?P<tag>.+)")


def read_delimited(path: Path, text: str) -> MetricsTable:
    """Return a CSV file as a table.

    Raises:
        MtctlError: it is not valid CSV, has no names on top, or a line with too few or too many cells.
    """
    skipped = 0
    body = text
    while body.startswith("#"):  # such as the first line of Stable-Baselines3's monitor.csv
        _, _, body = body.partition("\n")
        skipped += 1
    rows, lines, delimiter = _cells(path, body, skipped)
    if not rows:
        raise MtctlError(f"{path} is empty", hint=WHAT_IT_IS)
    names = tuple(name.strip() for name in rows.pop(0))
    line_of_names = lines.pop(0)
    if all(map(is_number, names)):
        raise MtctlError(
            f"{path}:{line_of_names}: expected the names of the columns, got numbers", hint=WHAT_IT_IS
        )
    notes: tuple[str, ...] = ()
    if rows and len(rows[-1]) < len(names) and not text.endswith(("\n", "\r")):
        notes = (f"{path}:{lines[-1]} is cut off and was left out",)
        rows.pop()
        lines.pop()
    # A program that starts again appends its names once more.
    repeated = {
        index
        for index, row in enumerate(rows)
        if row[0].strip() == names[0] and tuple(cell.strip() for cell in row) == names
    }
    if repeated:
        rows = [row for index, row in enumerate(rows) if index not in repeated]
        lines = [line for index, line in enumerate(lines) if index not in repeated]
    for index, (row, line) in enumerate(zip(rows, lines, strict=True)):
        if len(row) == len(names) + 1 and not row[-1].strip():
            rows[index] = row[:-1]
        elif len(row) != len(names):
            raise MtctlError(
                f"{path}:{line} has {len(row)} cells, but there are {len(names)} columns",
                hint="every line needs as many cells as the first; cells may be empty",
            )

    def column_at(row: int, name: str) -> int:
        return _start(_LINE_END.split(text)[lines[row] - 1], names.index(name), delimiter)

    others = [name for name in names if not is_clock(name) and counter_of(name) is None]
    if len(others) == 1 and others[0].lower() in _VALUES:  # one file for each tag, as TensorBoard exports
        names = tuple(tag_of(path) if name == others[0] else name for name in names)
    return MetricsTable(path, names, rows, lines, column_at, notes, decimal_comma=delimiter != ",")


def looks_delimited(text: str) -> bool:
    """Say whether a text is a table: a line of names, then lines of as many cells, numbers among them."""
    lines = [line for line in text.split("\n", 4)[:4] if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        return False
    delimiter = max(_DELIMITERS, key=lines[0].count)
    cells = (
        list(csv.reader(lines, delimiter=delimiter)) if delimiter in lines[0] else [*map(str.split, lines)]
    )
    same = len({len(row) for row in cells}) == 1 and len(cells[0]) > 1
    return same and not any(map(is_number, cells[0])) and any(map(_is_figure, cells[1]))


def _is_figure(cell: str) -> bool:
    return is_number(cell) or is_number(cell.replace(",", "."))


def is_clock(name: str) -> bool:
    """Say whether a column tells the time."""
    return name.lower() in _CLOCKS


def tag_of(path: Path) -> str:
    """Return the tag that TensorBoard exported to a file, as its name says."""
    match = _EXPORT_NAME.fullmatch(path.stem)
    return match["tag"] if match else path.stem


def _cells(path: Path, body: str, skipped: int) -> tuple[list[list[str]], list[int], str]:
    """Return rows, the line of each, and what delimits cells; " " for blanks."""
    header, _, rest = body.lstrip("\r\n").partition("\n")
    delimiter = max(_DELIMITERS, key=header.count)
    second = rest.partition("\n")[0].split()
    if delimiter not in header and len(second) > 1 and len(header.split()) == len(second):
        split = [(line.split(), number) for number, line in enumerate(body.split("\n"), skipped + 1)]
        rows = [(row, line) for row, line in split if row]
        return [row for row, _ in rows], [line for _, line in rows], " "
    rows_read, lines = [], []
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
    try:
        line = 1
        for row in reader:
            if row:
                rows_read.append(row)
                lines.append(line + skipped)
            line = reader.line_num + 1  # a quoted cell may hold line breaks
    except csv.Error as error:
        place = f"{path}:{reader.line_num + skipped}"
        raise MtctlError(f"{place} is not valid CSV: {error}", hint=WHAT_IT_IS) from error
    return rows_read, lines, delimiter


def _start(line: str, index: int, delimiter: str) -> int:
    """Return where a cell begins in its line, counted from 1."""
    starts, quoted = [0], False
    for at, character in enumerate(line):
        quoted ^= character == '"'
        if character == delimiter and not quoted:
            starts.append(at + 1)
    return starts[index] + 1 if index < len(starts) else 1
