"""A diagnosis from loss curves alone: what a metrics file from elsewhere tells, and what it cannot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mtctl.diagnosis.records import losses
from mtctl.diagnosis.records.metrics_columns import Columns, choose
from mtctl.diagnosis.records.metrics_file import MetricsTable, read_table
from mtctl.diagnosis.records.ranking import ranked
from mtctl.diagnosis.records.ruling import Ruling
from mtctl.diagnosis.records.trends import Values, finite, noise
from mtctl.diagnosis.report import Check, Diagnosis, Outcome, Severity, Subject, Symptom, TaskState
from mtctl.diagnosis.thresholds import (
    FEW_UPDATES,
    FEWEST_RECORDS,
    FLAT,
    IMPROVING,
    OUTLYING,
    OUTLYING_FACTOR,
    percent,
)
from mtctl.errors import MtctlError
from mtctl.text import show_text

_LAST: Final = 2.0**53
"""Steps up to which floating point numbers tell one from the next."""
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


@dataclass(frozen=True, slots=True)
class _Curve:
    """A column in order of its steps."""

    steps: npt.NDArray[np.float64]
    values: Values


def diagnose_metrics(path: Path, columns: Mapping[str, str] | None = None) -> Diagnosis:
    """Return what the loss curves of a CSV or JSONL file say; all of it is possible, nothing is proved.

    Args:
        path: the file; one column of losses for each task, in the order of training. Cells may be empty.
        columns: column by task, and by `step` the one that counts; None: found by their names.

    Raises:
        MtctlError: the file is unusable, a column is missing or unclear, or there are fewer than 5 rows.
    """
    started = time.perf_counter()
    table = read_table(path)
    if len(table.rows) < FEWEST_RECORDS:
        rows = f"{len(table.rows)} row{'' if len(table.rows) == 1 else 's'}"
        raise MtctlError(f"{path} has {rows}", hint=f"a trend needs at least {FEWEST_RECORDS} rows")
    chosen = choose(table.names, columns, str(path))
    steps, notes = _steps(table, chosen)
    training = {task: _curve(table, column, steps) for task, column in chosen.losses.items()}
    held_out = {task: _curve(table, column, steps) for task, column in chosen.held_out.items()}
    subject = _subject(path, chosen, training)
    states = tuple(losses.task_state(task, curve.values) for task, curve in training.items())
    checked = losses.symptom(states, subject.updates or 0)
    rulings = _rulings(states, checked, subject, training, held_out)
    return Diagnosis(
        subject=subject,
        states=states,
        symptom=checked if subject.updates is not None else None,
        signals={},
        findings=ranked(finding for ruling in rulings for finding in ruling.findings),
        checks=(
            _documented(checked),
            *(ruling.check for ruling in rulings),
            _spikes(training),
            *(Check(name, "not_run", why) for name, why in _UNSEEN),
        ),
        notes=(*_taken(chosen), *notes, *([table.cut_off] if table.cut_off else [])),
        seconds=time.perf_counter() - started,
    )


def _steps(table: MetricsTable, chosen: Columns) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Return each row's step, and what a reader should know of them."""
    if chosen.step is None:
        note = "no column counts the steps (step, iteration, epoch, …), so rows are counted"
        return np.arange(1, len(table.rows) + 1, dtype=np.float64), [note]
    steps, rows = table.numbers(chosen.step)
    missing = np.setdiff1d(np.arange(len(table.rows)), rows)
    unusable = missing if len(missing) else rows[~np.isfinite(steps)]
    if len(unusable):
        place = f"{table.path}:{table.lines[unusable[0]]}"
        text = f"{place}: column `{show_text(chosen.step)}` has no step here"
        raise MtctlError(text, hint="every row needs its step; --tasks step=COLUMN names another column")
    if (far := np.flatnonzero(np.abs(steps) > _LAST)).size:
        place = f"{table.path}:{table.lines[far[0]]}"
        text = f"{place}: column `{show_text(chosen.step)}` has step {steps[far[0]]:g}, which is too large"
        raise MtctlError(text, hint="write whole steps; --tasks step=COLUMN names another column")
    if (backwards := np.flatnonzero(np.diff(steps) < 0)).size:
        line = table.lines[backwards[0] + 1]
        note = f"steps go back at line {line}, as in a resumed log: sorted; of equal steps the last counts"
        return steps, [note]
    return steps, []


def _curve(table: MetricsTable, column: str, steps: npt.NDArray[np.float64]) -> _Curve:
    """Return a column in order of its steps; of several values at one step, the last that was written."""
    values, rows = table.numbers(column)
    if not len(rows):
        text = f"{table.path}: column `{show_text(column)}` holds no value"
        raise MtctlError(text, hint="--tasks TASK=COLUMN,… chooses the columns")
    at = steps[rows]
    order = np.argsort(at, kind="stable")
    at, values = at[order], values[order]
    last = np.append(np.diff(at) > 0, True)
    return _Curve(at[last], values[last])


def _subject(path: Path, chosen: Columns, training: Mapping[str, _Curve]) -> Subject:
    named = (chosen.step or "").lower()
    unit = next((unit for unit in ("epoch", "episode") if unit in named), "step")
    first = min(curve.steps[0] for curve in training.values())
    last = max(curve.steps[-1] for curve in training.values())
    units = max(0, int(last) + int(first == 0))
    return Subject(
        kind="metrics",
        name=str(path),
        problem="",
        unit=unit,
        units=units,
        updates=units if unit == "step" and chosen.step is not None else None,
        seeds=(),
        tasks=tuple(training),
    )


def _rulings(
    states: tuple[TaskState, ...],
    checked: Symptom,
    subject: Subject,
    training: Mapping[str, _Curve],
    held_out: Mapping[str, _Curve],
) -> list[Ruling]:
    few = subject.updates is not None and subject.updates < FEW_UPDATES
    # Where nothing improves, a flat loss may be that of a training that has ended long ago.
    flat: Severity = "error" if checked.improving and not few else "warning"
    pairs = {task: (training[task].values, curve.values) for task, curve in held_out.items()}
    curves = {task: curve.values for task, curve in training.items()}
    rulings = [
        losses.diverged(states, curves, "possible"),
        losses.stuck(states, flat, "possible", "a curve does not show why"),
        losses.overfitting(pairs, "possible"),
    ]
    if subject.updates is not None:
        rulings.append(losses.too_few_updates(states, subject.updates))
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
    found = []
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
            found.append(f"{task}: {int(standing_out.sum())}, the largest at {worst:g}")
    return Check("spikes", "found" if found else "passed", "; ".join(found) or "no value stands out")


def _taken(chosen: Columns) -> list[str]:
    taken = ", ".join(f"{show_text(task)} = `{show_text(name)}`" for task, name in chosen.losses.items())
    beside = ", ".join(f"{show_text(task)} = `{show_text(name)}`" for task, name in chosen.held_out.items())
    return [
        f"columns taken: {taken}" + (f"; held out: {beside}" if beside else ""),
        "only curves were read: findings are possible, not proven",
    ]
