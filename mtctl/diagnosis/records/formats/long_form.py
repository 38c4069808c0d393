"""Long form to columns: a row for each value, beside it the name of its metric, its task or its split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mtctl.diagnosis.records.column_names import counter_of
from mtctl.diagnosis.records.formats.json_lines import table_of_objects
from mtctl.diagnosis.records.formats.table import MetricsTable, is_missing, is_number

_METRICS: Final = (
    *("name", "tag", "metric", "metric_name", "metricname", "key", "variable", "series", "loss_name"),
)
_SPLITS: Final = ("split", "phase", "mode", "stage", "subset", "set")
_TASKS: Final = ("task", "task_name", "task_id", "head")
_VALUES: Final = ("value", "val", "scalar", "metric_value", "metricvalue")
_MOST: Final = 500
"""Different names in such a column; a column with more holds something else."""


def with_columns(table: MetricsTable) -> MetricsTable:
    """Return a table in long form as one with a column for each metric; any other as it is."""
    by_name = {name.lower(): name for name in table.names}
    value = next((by_name[name] for name in _VALUES if name in by_name), None)
    split, metric, task = (
        _names(table, [by_name[name] for name in names if name in by_name], numbers=names is _TASKS)
        for names in (_SPLITS, _METRICS, _TASKS)
    )
    if value is None:
        metric = None
    if not (split or metric or task):
        return table
    keys = [key for key in (split, metric, task) if key]
    rows = []
    for row in table.rows:
        cells: Mapping[str, Any] = (
            row if isinstance(row, Mapping) else dict(zip(table.names, row, strict=True))
        )
        prefix = "/".join(str(cells[key]).strip() for key in keys if not is_missing(cells.get(key)))
        wide = {}
        for name, cell in cells.items():
            if name in keys or is_missing(cell):
                continue
            if counter_of(name) or not prefix:
                wide[name] = cell
            elif metric is None:
                wide[f"{prefix}/{name}"] = cell
            elif name == value:
                wide[prefix] = cell
        rows.append(wide)
    widened = table_of_objects(table.path, rows, table.lines)
    return MetricsTable(table.path, widened.names, rows, table.lines, None, table.notes, table.decimal_comma)


def _names(table: MetricsTable, columns: list[str], *, numbers: bool) -> str | None:
    """Return the first of the columns that holds names, a few different ones; `numbers` may be names too."""
    for column in columns:
        held = [str(cell).strip() for cell in table.cells(column) if not is_missing(cell)]
        if (
            held
            and len(set(held)) <= min(_MOST, len(held) // 2)
            and (numbers or not any(map(is_number, held)))
        ):
            return column
    return None
