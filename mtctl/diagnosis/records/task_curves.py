"""From files to curves: the values of each task's columns in order of their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mtctl.diagnosis.records.counters import Steps, steps_of
from mtctl.diagnosis.records.formats.readers import CurveFiles, read_curve_files
from mtctl.diagnosis.records.formats.table import MetricsTable
from mtctl.diagnosis.records.metrics_columns import STEP, choose, require_column
from mtctl.diagnosis.records.task_columns import TaskColumns
from mtctl.diagnosis.records.trends import Values, finite
from mtctl.diagnosis.thresholds import FEWEST_RECORDS
from mtctl.errors import MtctlError
from mtctl.text import show_text


@dataclass(frozen=True, slots=True)
class Curve:
    """A column in order of its steps.

    Args:
        steps: of the values.
        values: some of which may not be finite.
        rows: of the table that they stand in.
    """

    steps: npt.NDArray[np.float64]
    values: Values
    rows: npt.NDArray[np.int64]

    def only(self, chosen: npt.NDArray[np.bool_]) -> Curve:
        """Return the chosen values."""
        return Curve(self.steps[chosen], self.values[chosen], self.rows[chosen])


@dataclass(frozen=True, slots=True)
class TaskCurves:
    """What a task's curves are.

    Args:
        columns: where they stand, and how they are judged.
        curve: its training loss, or what else is judged.
        held_out: its held-out loss; None if there is none.
    """

    columns: TaskColumns
    curve: Curve
    held_out: Curve | None


@dataclass(frozen=True, slots=True)
class CurveLog:
    """The curves of all tasks.

    Args:
        name: of the files.
        tasks: curves by task.
        steps: of the first task's table.
        notes: what a reader should know of the files.
    """

    name: str
    tasks: Mapping[str, TaskCurves]
    steps: Steps
    notes: tuple[str, ...]


def read_curves(paths: Sequence[Path], columns: Mapping[str, str] | None) -> CurveLog:
    """Return the curves in files.

    Args:
        paths: files of one training, or folders of them.
        columns: column by task, and by `step` the one that counts; None: found by their names.

    Raises:
        MtctlError: a file is unusable, a column is missing or unclear, or there are fewer than 5 rows.
    """
    files = read_curve_files(paths)
    wanted = dict(columns or {})
    step = wanted.pop(STEP, None)
    if step is not None:
        require_column(step, tuple(files.columns), files.name)
        if step in files.repeated:
            text = f"{files.name} has {files.repeated[step]} columns `{show_text(step)}`"
            raise MtctlError(text, hint="give every column a different name")
    _require_rows(files)
    names = tuple(files.columns)
    chosen = choose(names, wanted, files.name, files.repeated, lambda name: _count(files, name))
    chosen, left_out = _with_values(files, chosen, named=bool(wanted))
    steps = _steps(files, chosen, step)
    first = files.columns[next(iter(chosen.values())).column][0]
    of_steps = dict.fromkeys(found.note for found in steps.values() if found.note)
    notes = (*of_steps, *left_out, *files.notes)
    return CurveLog(files.name, _tasks(files, chosen, steps), steps[id(first)], notes)


def _require_rows(files: CurveFiles) -> None:
    rows = max((len(table.rows) for table, _ in files.columns.values()), default=0)
    if rows < FEWEST_RECORDS:
        text = f"{files.name} has {rows} row{'' if rows == 1 else 's'}"
        raise MtctlError(text, hint=f"a trend needs at least {FEWEST_RECORDS} rows")


def _count(files: CurveFiles, name: str) -> int:
    table, column = files.columns[name]
    return len(table.filled(column))


def _with_values(
    files: CurveFiles, chosen: Mapping[str, TaskColumns], *, named: bool
) -> tuple[dict[str, TaskColumns], list[str]]:
    """Return the tasks that have values, held-out columns only where these have some, and what was left out.

    Raises:
        MtctlError: a task that the user named has none, or no task has any.
    """
    tasks, notes = {}, []
    empty: str | None = None
    for task, columns in chosen.items():
        if not _count(files, columns.column):
            empty = empty or columns.column
            notes.append(f"column `{show_text(columns.column)}` holds no value and was left out")
            continue
        held_out = columns.held_out
        if held_out is not None and not _has_numbers(files, held_out):
            notes.append(f"held-out column `{show_text(held_out)}` holds no value and was left out")
            held_out = None
        tasks[task] = replace(columns, held_out=held_out)
    if empty is not None and (named or not tasks):
        text = f"{files.name}: column `{show_text(empty)}` holds no value"
        raise MtctlError(text, hint="--tasks TASK=COLUMN,… chooses the columns")
    return tasks, notes


def _has_numbers(files: CurveFiles, name: str) -> bool:
    table, column = files.columns[name]
    return bool(finite(table.numbers(column)[0]).any())


def _steps(files: CurveFiles, chosen: Mapping[str, TaskColumns], step: str | None) -> dict[int, Steps]:
    """Return the steps of each table that a chosen column is of, by the table's identity."""
    used: dict[int, tuple[MetricsTable, list[str]]] = {}
    for columns in chosen.values():
        for name in filter(None, (columns.column, columns.held_out)):
            table, column = files.columns[name]
            used.setdefault(id(table), (table, []))[1].append(column)
    counter = None if step is None else files.columns[step]
    return {
        key: steps_of(table, counter[1] if counter and counter[1] in table.names else None, columns)
        for key, (table, columns) in used.items()
    }


def _tasks(
    files: CurveFiles, chosen: Mapping[str, TaskColumns], steps: Mapping[int, Steps]
) -> dict[str, TaskCurves]:
    def curve(name: str) -> Curve:
        table, column = files.columns[name]
        return _curve(table, column, steps[id(table)])

    curves = {task: curve(columns.column) for task, columns in chosen.items()}
    tables = {task: id(files.columns[columns.column][0]) for task, columns in chosen.items()}
    tasks = {}
    for task, columns in chosen.items():
        others = [curves[other] for other in curves if other != task and tables[other] == tables[task]]
        held_out = None if columns.held_out is None else curve(columns.held_out)
        if held_out is not None:
            held_out = held_out.only(finite(held_out.values))
        own = _logged(curves[task], others)
        tasks[task] = TaskCurves(columns, own, held_out)
    return tasks


def _curve(table: MetricsTable, column: str, steps: Steps) -> Curve:
    """Return a column in order of its steps."""
    values, rows = table.numbers(column)
    at = steps.values[rows]
    order = np.argsort(at, kind="stable")
    curve = Curve(at[order], values[order], rows[order])
    return curve.only(np.append(np.diff(curve.steps) > 0, True)) if steps.resumed else curve


def _logged(curve: Curve, others: Sequence[Curve]) -> Curve:
    """Return a curve without the NaN that stands where nothing was logged.

    Some tools write NaN instead of nothing into rows that are about something else: at all but every nth
    row, or in every row that has another task's loss.
    """
    present = finite(curve.values)
    if present.all() or not present.any():
        return curve
    distances = np.diff(np.flatnonzero(present))
    regular = len(distances) > 1 and (distances == distances[0]).all() and distances[0] > 1
    own = set(curve.rows[present].tolist())
    with_others = [set(other.rows[finite(other.values)].tolist()) for other in others]
    gaps = set(curve.rows[~present].tolist())
    in_turn = (
        bool(with_others)
        and all(not own & rows for rows in with_others)
        and gaps <= set().union(*with_others)
    )
    return curve.only(present) if regular or in_turn else curve
