"""JSONL: an object in each line; names of nested objects are joined, train/loss_a."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mtctl.diagnosis.records.formats.table import WHAT_IT_IS, MetricsTable
from mtctl.errors import MtctlError
from mtctl.history.documents import show

_DEEPEST: Final = 32
"""Objects inside one another whose names are joined to one column's."""
_LONGEST_NAME: Final = 200
"""Characters of a name that is joined from nested objects': such names could otherwise outgrow their file."""
_LINE_END: Final = re.compile("\r\n|\r|\n")


def read_json_lines(path: Path, text: str) -> MetricsTable:
    """Return a JSONL file as a table.

    Raises:
        MtctlError: a line is not an object, or is nested too deeply.
    """
    lines = text.split("\n")
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    notes: tuple[str, ...] = ()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(_object(line, f"{path}:{number}"))
        except MtctlError:
            if number < len(lines) or len(rows) == 0:
                raise
            # A file that is still being written ends anywhere; complete lines end with a newline.
            notes = (f"{path}:{number} is cut off and was left out",)
            continue
        numbers.append(number)
    return table_of_objects(path, rows, numbers, text, notes)


def table_of_objects(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    lines: Sequence[int] = (),
    text: str = "",
    notes: tuple[str, ...] = (),
) -> MetricsTable:
    """Return objects as a table, whose columns are all their names."""
    names = tuple(dict.fromkeys(name for row in rows for name in row))

    def column_at(row: int, name: str) -> int:
        line = _LINE_END.split(text)[lines[row] - 1]
        return max(0, line.find(json.dumps(name.rsplit("/", 1)[-1], ensure_ascii=False))) + 1

    return MetricsTable(path, names, rows, lines, column_at, notes)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        text = f"{place}:{error.colno} is not valid JSON: {error.msg.lower()}"
        raise MtctlError(text, hint=WHAT_IT_IS) from error
    except ValueError as error:  # an integer of thousands of digits
        raise MtctlError(f"{place} is not valid JSON: {error}", hint=WHAT_IT_IS) from error
    except RecursionError as error:
        raise MtctlError(f"{place} is nested too deeply", hint=WHAT_IT_IS) from error
    if not isinstance(value, Mapping):
        raise MtctlError(f"{place} is {show(value)}, not an object", hint=WHAT_IT_IS)
    return flattened(value, place)


def flattened(value: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return an object without objects in it: their names are joined.

    Raises:
        MtctlError: it is nested too deeply, or its joined names are too long.
    """
    if not any(isinstance(inner, dict) for inner in value.values()):
        return dict(value)
    return dict(_flat("", value, place, _DEEPEST))


def _flat(above: str, value: Mapping[str, Any], place: str, levels: int) -> Iterator[tuple[str, Any]]:
    if not levels:
        raise MtctlError(f"{place} nests objects more than {_DEEPEST} levels deep", hint=WHAT_IT_IS)
    for key, inner in value.items():
        name = f"{above}/{key}" if above else key
        if above and len(name) > _LONGEST_NAME:
            text = f"{place} has nested names of more than {_LONGEST_NAME} characters together"
            raise MtctlError(text, hint=WHAT_IT_IS)
        if isinstance(inner, Mapping):
            yield from _flat(name, inner, place, levels - 1)
        else:
            yield name, inner
