"""A diagnosis from loss curves alone: what metrics files from elsewhere tell, and what they cannot."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records import losses, players
from mtctl.diagnosis.records.counters import Steps, steps_of
from mtctl.diagnosis.records.formats.readers import CurveFiles, read_curve_files
from mtctl.diagnosis.records.formats.table import MetricsTable
from mtctl.diagnosis.records.metrics_columns import STEP, choose, require_column
from mtctl.diagnosis.records.ranking import ranked
from mtctl.diagnosis.records.ruling import Ruling
from mtctl.diagnosis.records.task_columns import Kind, TaskColumns
from mtctl.diagnosis.records.trends import Values, finite, noise
from mtctl.diagnosis.report import Check, Diagnosis, Outcome, Subject, Symptom, TaskState
from mtctl.diagnosis.thresholds import (
    CLEAR_FALL,
    FEWEST_RECORDS,
    FLAT,
    IMPROVING,
    OUTLYING,
    OUTLYING_FACTOR,
    percent,
)
from mtctl.errors import MtctlError
from mtctl.text import show_text

_PARTS: Final = 10
"""Parts of a curve; its noise is that of the noisiest."""
_NEEDS_GRADIENTS: Final = "needs gradients, which a curve does not show: diagnose a recipe or a run"
_UNSEEN: Final = (
    ("wiring", _NEEDS_GRADIENTS),
    ("targets in reach", _NEEDS_GRADIENTS),
    ("shares of the gradient", _NEEDS_GRADIENTS),
    ("conflicting gradients", _NEEDS_GRADIENTS),
    ("skill", "needs the loss of the best constant prediction; without it, a converged task looks flat"),
    ("counterfactual trainings", "needs training: `mtctl diagnose RECIPE`"),
)
_UNJUDGED: Final = "need not fall for learning to go well (a policy's, an opponent's, a regulariser's)"


@dataclass(frozen=True, slots=True)
class _Curve:
    """A column in order of its steps.

    Args:
        steps: of the values.
        values: some of which may not be finite.
        rows: of the table that they stand in.
    """

    steps: npt.NDArray[np.float64]
    values: Values
    rows: npt.NDArray[np.int64]

    def only(self, chosen: npt.NDArray[np.bool_]) -> _Curve:
        return _Curve(self.steps[chosen], self.values[chosen], self.rows[chosen])


@dataclass(frozen=True, slots=True)
class _Task:
    """What a task's curves are.

    Args:
        kind: how it is judged.
        curve: its training loss, or what else is judged.
        held_out: its held-out loss; None if there is none.
        only_held_out: whether `curve` is of held-out data itself.
    """

    kind: Kind
    curve: _Curve
    held_out: _Curve | None
    only_held_out: bool


def diagnose_metrics(paths: Sequence[Path], columns: Mapping[str, str] | None = None) -> Diagnosis:
    """Return what the loss curves in files say, whichever tool wrote them.

    Args:
        paths: files of one training, or folders of them; formats: see `formats/readers.py`. One column of
            losses for each task, in the order of training; cells may be empty.
        columns: column by task, and by `step` the one that counts; None: found by their names.

    Raises:
        MtctlError: a file is unusable, a column is missing or unclear, or there are fewer than 5 rows.
    """
    started = time.perf_counter()
    files = read_curve_files(paths)
    wanted = dict(columns or {})
    step = wanted.pop(STEP, None)
    if step is not None:
        require_column(step, tuple(files.columns), files.name)
        if step in files.repeated:
            text = f"{files.name} has {files.repeated[step]} columns `{show_text(step)}`"
            raise MtctlError(text, hint="give every column a different name")
    _require_rows(files)
    chosen = choose(
        tuple(files.columns), wanted, files.name, files.repeated, lambda name: _count(files, name)
    )
    chosen, notes = _with_values(files, chosen, named=bool(wanted))
    steps = _steps(files, chosen, step)
    tasks = _tasks(files, chosen, steps)
    subject = _subject(files, chosen, steps, tasks)
    states = _relative_to_each_other([_state(task, its) for task, its in tasks.items()])
    judged = [state for state, its in zip(states, tasks.values(), strict=True) if its.kind == "loss"]
    checked = losses.symptom(judged, subject.updates or 0)
    rulings = _rulings(states, subject, tasks)
    blown_up = {
        finding.task for ruling in rulings for finding in ruling.findings if finding.code == Code.DIVERGED
    }
    states = tuple(replace(state, state="diverged") if state.task in blown_up else state for state in states)
    supervised = {task: its.curve for task, its in tasks.items() if its.kind == "loss"}
    return Diagnosis(
        subject=subject,
        states=states,
        symptom=checked if subject.updates is not None and judged else None,
        signals={},
        findings=ranked(finding for ruling in rulings for finding in ruling.findings),
        checks=(
            *([_documented(checked)] if judged else []),
            *(ruling.check for ruling in rulings),
            *([_spikes(supervised)] if supervised else []),
            *(Check(name, "not_run", why) for name, why in _UNSEEN),
        ),
        notes=(
            *_taken(chosen, tasks),
            *dict.fromkeys(found.note for found in steps.values() if found.note),
            *notes,
            *files.notes,
        ),
        seconds=time.perf_counter() - started,
    )


# ----- from columns to curves


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
) -> dict[str, _Task]:
    def curve(name: str) -> _Curve:
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
        tasks[task] = _Task(columns.kind, own, held_out, columns.only_held_out)
    return tasks


def _curve(table: MetricsTable, column: str, steps: Steps) -> _Curve:
    """Return a column in order of its steps."""
    values, rows = table.numbers(column)
    at = steps.values[rows]
    order = np.argsort(at, kind="stable")
    curve = _Curve(at[order], values[order], rows[order])
    return curve.only(np.append(np.diff(curve.steps) > 0, True)) if steps.resumed else curve


def _logged(curve: _Curve, others: Sequence[_Curve]) -> _Curve:
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


def _subject(
    files: CurveFiles,
    chosen: Mapping[str, TaskColumns],
    steps: Mapping[int, Steps],
    tasks: Mapping[str, _Task],
) -> Subject:
    main = steps[id(files.columns[next(iter(chosen.values())).column][0])]
    first = min(task.curve.steps[0] for task in tasks.values())
    last = max(task.curve.steps[-1] for task in tasks.values())
    units = max(0, int(last) + int(first == 0))
    return Subject(
        kind="metrics",
        name=files.name,
        problem="",
        unit=main.unit,
        units=units,
        updates=units if main.counts_updates else None,
        seeds=(),
        tasks=tuple(tasks),
    )


# ----- from curves to findings


def _state(task: str, its: _Task) -> TaskState:
    values = its.curve.values
    match its.kind:
        case "loss":
            return losses.task_state(task, values)
        case "return":
            return players.return_state(task, values)
        case _:
            state = losses.task_state(task, values)
            diverged = state.state == "diverged" and not finite(values[-1:]).all()
            return replace(state, state="diverged" if diverged else "unknown")


def _relative_to_each_other(states: Sequence[TaskState]) -> tuple[TaskState, ...]:
    """Return states in which a fall by CLEAR_FALL is learning, unless another loss falls by IMPROVING.

    What is slow depends on where a loss began and can arrive, which curves do not show.
    """
    if any(state.change < -IMPROVING for state in states):
        return tuple(states)
    return tuple(
        replace(state, state="learns") if state.state == "slow" and state.change <= -CLEAR_FALL else state
        for state in states
    )


def _rulings(states: tuple[TaskState, ...], subject: Subject, tasks: Mapping[str, _Task]) -> list[Ruling]:
    curves = {task: its.curve.values for task, its in tasks.items()}
    by_kind: dict[Kind, list[TaskState]] = {"loss": [], "return": [], "value": [], "unjudged": []}
    for state in states:
        by_kind[tasks[state.task].kind].append(state)
    supervised, returns = by_kind["loss"], by_kind["return"]
    of_losses = {state.task: curves[state.task] for state in supervised}
    pairs = {
        task: (its.curve.values, its.held_out.values)
        for task, its in tasks.items()
        if its.held_out is not None and its.kind == "loss"
    }
    alone = {task: its.curve.values for task, its in tasks.items() if its.only_held_out}
    rulings = [losses.diverged(states, curves, "likely"), losses.gaps(states, curves)]
    if supervised:
        overfitted = losses.overfitting(pairs, "possible", alone)
        trade_offs = losses.trade_offs(supervised, of_losses)
        told = {finding.task for ruling in (overfitted, trade_offs) for finding in ruling.findings}
        rest = [state for state in supervised if state.task not in told or state.state == "flat"]
        rest = [state for state in rest if state.task not in {one.task for one in trade_offs.findings}]
        rulings += [
            losses.zeros(supervised, of_losses),
            trade_offs,
            losses.stuck(rest, "warning", "possible", "a curve does not show why"),
            overfitted,
        ]
        if subject.updates is not None:
            rulings.append(losses.too_few_updates(supervised, subject.updates))
    if returns:
        rulings.append(players.returns_rise(returns))
    if by_kind["value"]:
        scale = players.scale_of([curves[state.task] for state in returns])
        values = {state.task: (state.task, curves[state.task]) for state in by_kind["value"]}
        rulings.append(players.values_bounded(values, scale))
    return rulings


def _documented(checked: Symptom) -> Check:
    flat, improving = (", ".join(tasks) or "none" for tasks in (checked.flat, checked.improving))
    outcome: Outcome = "found" if checked.present else "passed"
    return Check(
        "documented check",
        outcome,
        f"flat (< {percent(FLAT)}): {flat}; improving (> {percent(IMPROVING)}): {improving}",
    )


def _spikes(training: Mapping[str, _Curve]) -> Check:
    """Look for single values that stand out from both neighbours, as after a bad batch or a restart."""
    standing_out_of = []
    for task, curve in training.items():
        if len(curve.values) < FEWEST_RECORDS or not (finite(curve.values) & (curve.values > 0)).all():
            continue
        # The noise of losses is relative: it shrinks as they do.
        logs = np.log(curve.values)
        jumps = logs[1:-1] - (logs[:-2] + logs[2:]) / 2
        usual = max(noise(part) for part in np.array_split(logs, max(1, min(_PARTS, len(logs) // 10))))
        standing_out = jumps > max(OUTLYING * usual, np.log(OUTLYING_FACTOR))
        if standing_out.any():
            worst = curve.steps[1:-1][jumps.argmax()]
            standing_out_of.append(f"{task}: {int(standing_out.sum())}, the largest at {worst:g}")
    outcome: Outcome = "found" if standing_out_of else "passed"
    return Check("spikes", outcome, "; ".join(standing_out_of) or "no value stands out")


def _taken(chosen: Mapping[str, TaskColumns], tasks: Mapping[str, _Task]) -> list[str]:
    def listed(columns: Iterable[tuple[str, str]]) -> str:
        return ", ".join(f"{show_text(task)} = `{show_text(name)}`" for task, name in columns)

    taken = listed((task, columns.column) for task, columns in chosen.items())
    held_out = listed((task, its.held_out) for task, its in chosen.items() if its.held_out is not None)
    notes = [f"columns taken: {taken}" + (f"; held out: {held_out}" if held_out else "")]
    if any(columns.only_held_out for columns in chosen.values()):
        only = ", ".join(show_text(task) for task, columns in chosen.items() if columns.only_held_out)
        notes.append(f"only held-out losses are there of {only}: these are judged")
    if unjudged := [show_text(task) for task, its in tasks.items() if its.kind == "unjudged"]:
        notes.append(f"not judged: {', '.join(unjudged)}: such a loss {_UNJUDGED}")
    if values := [show_text(task) for task, its in tasks.items() if its.kind == "value"]:
        notes.append(
            f"judged for blowing up only: {', '.join(values)}: a value function's loss grows with the returns"
        )
    return [*notes, "only curves were read: causes are possible, not proven"]
