"""One JSON document: Keras' History.history, transformers' trainer_state.json, TensorBoard's export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mtctl.diagnosis.records.formats.delimited import tag_of
from mtctl.diagnosis.records.formats.json_lines import flattened, read_json_lines, table_of_objects
from mtctl.diagnosis.records.formats.table import WHAT_IT_IS, MetricsTable, is_missing, is_number
from mtctl.errors import MtctlError

_WRAPPER: Final = "history/"
"""What a pickled-to-JSON Keras History is wrapped in, beside `params`."""
_POINTS: Final = (("/x", "/y"), ("/steps", "/values"), ("/step", "/value"))
"""What the two halves of a curve of points are called."""


def read_json(path: Path, text: str) -> MetricsTable:
    """Return a JSON document as a table; a file of several documents is read as JSONL.

    Raises:
        MtctlError: it is not valid JSON, or holds neither records nor lists of numbers.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return read_json_lines(path, text)
        place = f"{path}:{error.lineno}:{error.colno}"
        raise MtctlError(f"{place} is not valid JSON: {error.msg.lower()}", hint=WHAT_IT_IS) from error
    except ValueError as error:
        raise MtctlError(f"{path} is not valid JSON: {error}", hint=WHAT_IT_IS) from error
    except RecursionError as error:
        raise MtctlError(f"{path} is nested too deeply", hint=WHAT_IT_IS) from error
    if isinstance(document, list):
        return _of_list(path, document)
    if not isinstance(document, Mapping):
        raise _unknown(path)
    for value in document.values():
        if _is_records(value):  # such as transformers' `log_history`
            return _of_list(path, value)
    return _of_columns(path, _columns(flattened(document, str(path))))


def _of_columns(path: Path, columns: Mapping[str, list[Any]]) -> MetricsTable:
    if not columns:
        raise _unknown(path)
    length = max(map(len, columns.values()))
    rows = [
        {name: values[row] for name, values in columns.items() if row < len(values)} for row in range(length)
    ]
    return table_of_objects(path, rows)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _of_list(path: Path, rows: list[Any]) -> MetricsTable:
    if _is_records(rows):
        return table_of_objects(path, [flattened(row, str(path)) for row in rows])
    if rows and all(isinstance(row, list) and len(row) == 3 for row in rows):
        return table_of_objects(path, [{"step": step, tag_of(path): value} for _, step, value in rows])
    return _of_columns(path, _columns({tag_of(path): rows}))


def _columns(document: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the lists of numbers in a document, by name; points a/x and a/y are the curve a."""
    columns = {
        name.removeprefix(_WRAPPER): values
        for name, values in document.items()
        if isinstance(values, list) and values and all(is_number(cell) or is_missing(cell) for cell in values)
    }
    for places, heights in _POINTS:
        for name in [name for name in columns if name.endswith(heights)]:
            curve = name.removesuffix(heights)
            if columns.pop(f"{curve}{places}", None) is not None:
                columns[curve] = columns.pop(name)
    return columns


def _unknown(path: Path) -> MtctlError:
    return MtctlError(
        f"{path} holds no curves: neither a list of records nor lists of numbers by name",
        hint='write {"loss_a": [1.2, 1.1, …]}, or a list of objects such as {"step": 1, "loss_a": 1.2}',
    )
