"""A diagnosis from loss curves alone: what metrics files from elsewhere tell, and what they cannot."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records import losses, players
from mtctl.diagnosis.records.held_out import overfitting
from mtctl.diagnosis.records.ranking import ranked
from mtctl.diagnosis.records.ruling import Ruling
from mtctl.diagnosis.records.task_columns import Kind
from mtctl.diagnosis.records.task_curves import Curve, CurveLog, TaskCurves, read_curves
from mtctl.diagnosis.records.trade_offs import trade_offs
from mtctl.diagnosis.records.trends import finite, noise
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
    log = read_curves(paths, columns)
    tasks, subject = log.tasks, _subject(log)
    states = _relative_to_each_other([_state(task, its) for task, its in tasks.items()])
    judged = [state for state, its in zip(states, tasks.values(), strict=True) if its.columns.kind == "loss"]
    checked = losses.symptom(judged, subject.updates or 0)
    rulings = _rulings(states, subject, tasks)
    blown_up = {
        finding.task for ruling in rulings for finding in ruling.findings if finding.code == Code.DIVERGED
    }
    states = tuple(replace(state, state="diverged") if state.task in blown_up else state for state in states)
    supervised = {task: its.curve for task, its in tasks.items() if its.columns.kind == "loss"}
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
        notes=(*_taken(log), *log.notes),
        seconds=time.perf_counter() - started,
    )


def _subject(log: CurveLog) -> Subject:
    first = min(its.curve.steps[0] for its in log.tasks.values())
    last = max(its.curve.steps[-1] for its in log.tasks.values())
    units = max(0, int(last) + int(first == 0))
    return Subject(
        kind="metrics",
        name=log.name,
        problem="",
        unit=log.steps.unit,
        units=units,
        updates=units if log.steps.counts_updates else None,
        seeds=(),
        tasks=tuple(log.tasks),
    )


# ----- from curves to findings


def _state(task: str, its: TaskCurves) -> TaskState:
    values = its.curve.values
    match its.columns.kind:
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


def _rulings(
    states: tuple[TaskState, ...], subject: Subject, tasks: Mapping[str, TaskCurves]
) -> list[Ruling]:
    curves = {task: its.curve.values for task, its in tasks.items()}
    by_kind: dict[Kind, list[TaskState]] = {"loss": [], "return": [], "value": [], "unjudged": []}
    for state in states:
        by_kind[tasks[state.task].columns.kind].append(state)
    supervised, returns = by_kind["loss"], by_kind["return"]
    of_losses = {state.task: curves[state.task] for state in supervised}
    pairs = {
        task: (its.curve.values, its.held_out.values)
        for task, its in tasks.items()
        if its.held_out is not None and its.columns.kind == "loss"
    }
    alone = {task: its.curve.values for task, its in tasks.items() if its.columns.only_held_out}
    rulings = [losses.diverged(states, curves, "likely"), losses.gaps(states, curves)]
    if supervised:
        overfitted, opposed = overfitting(pairs, "possible", alone), trade_offs(supervised, of_losses)
        explained = {finding.task for ruling in (overfitted, opposed) for finding in ruling.findings}
        rest = [state for state in supervised if state.task not in explained]
        rulings += [
            losses.zeros(supervised, of_losses),
            opposed,
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


def _spikes(training: Mapping[str, Curve]) -> Check:
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


def _taken(log: CurveLog) -> list[str]:
    columns = {task: its.columns for task, its in log.tasks.items()}

    def listed(names: Iterable[tuple[str, str]]) -> str:
        return ", ".join(f"{show_text(task)} = `{show_text(name)}`" for task, name in names)

    def tasks(kind: Kind) -> str:
        return ", ".join(show_text(task) for task, its in columns.items() if its.kind == kind)

    held_out = listed((task, its.held_out) for task, its in columns.items() if its.held_out is not None)
    parts = [f"columns taken: {listed((task, its.column) for task, its in columns.items())}"]
    if held_out:
        parts.append(f"held out: {held_out}")
    if log.steps.column is not None:
        parts.append(f"steps: `{show_text(log.steps.column)}`")
    notes = ["; ".join(parts)]
    if only := ", ".join(show_text(task) for task, its in columns.items() if its.only_held_out):
        notes.append(f"only held-out losses are there of {only}: these are judged")
    if unjudged := tasks("unjudged"):
        notes.append(f"not judged: {unjudged}: such a loss {_UNJUDGED}")
    if values := tasks("value"):
        notes.append(f"judged for blowing up only: {values}: a value function's loss grows with the returns")
    return [*notes, "only curves were read: causes are possible, not proven"]
