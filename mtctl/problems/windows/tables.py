"""Rows of a CSV or parquet file, and where in the file they stand."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mtctl.errors import MtctlError
from mtctl.machine import memory, size
from mtctl.reading import open_file, require_room
from mtctl.yaml.mistakes import closest, shortened

_PARQUET: Final = b"PAR1"
"""What every parquet file begins with."""
_ROWS_AT_ONCE: Final = 512
_NEEDS: Final = 1.5
"""Bytes of memory for a byte of CSV, at least: a price of 18 characters becomes two numbers of 8 bytes and
three features of 4."""
_ROW: Final = 6_720
"""Bytes of memory for a row, at least: 420 prices, twice."""
_COPY: Final = "check the file and its permissions; it is read more than once, so a pipe does not work"
_FEWER: Final = "train on a part of it, or on a machine with more memory"


@dataclass(frozen=True, slots=True)
class DataTable:
    """The content of a file.

    Args:
        path: the file.
        columns: names of the columns.
        rows: number and cells of every row, once; the number is the line in a CSV file, else the row, from 1.
        nested: whether a cell can hold a list.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Iterable[tuple[int, Sequence[object]]]
    nested: bool

    @property
    def head(self) -> str:
        """Where the columns' names stand."""
        return str(self.path) if self.nested else f"{self.path}:1"

    def place(self, number: int) -> str:
        """Where the row with this number stands."""
        return f"{self.path}, row {number}" if self.nested else f"{self.path}:{number}"


@contextmanager
def open_table(path: Path) -> Iterator[DataTable]:
    """Open a .csv or .parquet file; rows are read while they are asked for.

    CSV files are UTF-8, with or without a byte order mark; commas part the cells, the first line names the
    columns, and blank lines are passed over.

    Raises:
        MtctlError: if the file is missing, empty or not what its name says, or pyarrow is missing.
    """
    readers = {".csv": _csv, ".parquet": _parquet}
    if path.is_dir():
        raise MtctlError(f"{path} is a folder", hint="name a .csv or .parquet file in it")
    try:
        path.stat()
        with open_file(path, remedy=_COPY) as file:
            begin = file.read(len(_PARQUET))
            length = os.fstat(file.fileno()).st_size
        require_room(path, length, largest=sys.maxsize, needs=_NEEDS, remedy=_FEWER)
        if path.suffix.lower() not in readers:
            raise MtctlError(
                f"{path} is neither a .csv nor a .parquet file", hint="name the file after what it contains"
            )
        if not begin:
            raise MtctlError(f"{path} is empty", hint="write the windows again")
        with readers[path.suffix.lower()](path, begin) as table:
            yield table
    except FileNotFoundError as error:
        raise MtctlError(f"there is no file {path}", hint=_instead(path)) from error
    except OSError as error:
        raise MtctlError(
            f"{path} cannot be read: {error.strerror or error}", hint="check the file and its permissions"
        ) from error


@contextmanager
def _csv(path: Path, begin: bytes) -> Iterator[DataTable]:
    if begin == _PARQUET:
        raise MtctlError(f"{path} is a parquet file", hint="rename it to end in .parquet")
    # Bytes that are not UTF-8 become lone surrogates, so that the cell can be named in which they stand.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        columns = tuple(name.strip() for name in _next_row(path, reader) or ())
        if len(columns) == 1 and (found := next((mark for mark in ";\t|" if mark in columns[0]), None)):
            raise MtctlError(
                f"{path}:1 is not separated by commas: found {found!r} between the columns",
                hint="write it with commas, and with points in numbers",
            )
        if not "".join(columns).isprintable():
            raise MtctlError(f"{path}:1 is not UTF-8 text", hint="write the file as CSV in UTF-8")
        yield DataTable(path, columns, _csv_rows(path, reader), nested=False)


def _csv_rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    line = reader.line_num + 1
    while (cells := _next_row(path, reader)) is not None:
        if cells:
            yield line, cells
        line = reader.line_num + 1  # a quoted cell may hold line breaks


def _next_row(path: Path, reader: Any) -> list[str] | None:
    line = reader.line_num + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        hint = "look for a quotation mark without its partner"
        raise MtctlError(f"{path}:{line} is not CSV: {error}", hint=hint) from error


@contextmanager
def _parquet(path: Path, begin: bytes) -> Iterator[DataTable]:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 - optional
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MtctlError(
            f"{path} cannot be read without pyarrow, which is not installed", hint='pip install "mtctl[data]"'
        ) from error
    try:
        if begin != _PARQUET:
            raise MtctlError(
                f"{path} is not a parquet file", hint="write it again as parquet, or name it .csv"
            )
        with ParquetFile(path) as file:
            _require_room(path, file.metadata)
            yield DataTable(path, tuple(file.schema_arrow.names), _parquet_rows(file), nested=True)
    except (ArrowException, OSError) as error:
        raise MtctlError(
            f"{path} is an incomplete or damaged parquet file: {shortened(str(error))}",
            hint="write or copy it again",
        ) from error


def _require_room(path: Path, metadata: Any) -> None:
    """Refuse what a compressed file announces and this machine has no room for, before any of it is read."""
    rows, there = metadata.num_rows, memory()
    announced = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if there is not None and max(announced, rows * _ROW) > there:
        raise MtctlError(
            f"{path} is too large: its {rows:,} rows take {size(max(announced, rows * _ROW))} or more of "
            f"memory; this machine has {size(there)}",
            hint=_FEWER,
        )


def _parquet_rows(file: Any) -> Iterator[tuple[int, tuple[object, ...]]]:
    batches = file.iter_batches(batch_size=_ROWS_AT_ONCE)
    columns = ([column.to_pylist() for column in batch.columns] for batch in batches)
    return enumerate((cells for batch in columns for cells in zip(*batch, strict=True)), start=1)


def _instead(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    match = closest(path.name, siblings)
    return f"did you mean {path.parent / match}?" if match else "check the path"
