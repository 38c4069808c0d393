"""What loss curves alone tell: how each task does, the documented symptom, divergence, overfitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.records.trends import (
    CurveSummary,
    Values,
    course,
    ends_unusable,
    finite,
    relative,
    trend,
)
from mtctl.diagnosis.report import Confidence, Evidence, Finding, Severity, State, Symptom, TaskState
from mtctl.diagnosis.thresholds import (
    AT_FLOOR,
    BEYOND_NOISE,
    BLOWN_UP,
    FEW_UPDATES,
    FEWEST_RECORDS,
    FLAT,
    IMPROVING,
    LEARNED,
    LOST_AGAIN,
    RISEN,
    SINCE_LOWEST,
)


def task_state(
    task: str,
    values: Values,
    *,
    constant: float | None = None,
    skill: float | None = None,
    measures: Mapping[str, float] | None = None,
) -> TaskState:
    """Return how a task does, from its losses in order of time.

    Args:
        task: its name.
        values: losses; what is not finite is left out, unless the curve ends so: then it diverged.
        constant: loss of the best constant prediction, where that is known.
        skill: 1 − loss/constant at the end, on held-out data where there is some.
        measures: further figures to report.
    """
    known = values[finite(values)]
    nothing = float("nan")
    if not len(known):
        state: State = "diverged" if len(values) else "unknown"
        return TaskState(task, state, nothing, nothing, nothing, constant, skill, measures=measures or {})
    summary, tail = course(known), trend(known)
    return TaskState(
        task=task,
        state="diverged" if ends_unusable(values) else _state(summary, known, constant, skill),
        first=summary.first,
        last=summary.last,
        change=summary.change,
        constant=constant,
        skill=skill,
        trend=None if tail is None else tail.change,
        measures=measures or {},
    )


def _state(summary: CurveSummary, known: Values, constant: float | None, skill: float | None) -> State:
    count = len(known)
    if count < 2 or not known.any():
        return "unknown"
    if summary.first > 0 and summary.last > BLOWN_UP * max(summary.first, constant or 0.0):
        return "diverged"
    if _rises(summary, count):
        return "rising"
    improved = -summary.change
    # Too few values have no noise to compare with: the documented threshold alone decides.
    moved = improved >= FLAT and (summary.direction == "falling" or count < FEWEST_RECORDS)
    if skill is not None and skill >= LEARNED:
        return "at_floor" if not moved and skill >= AT_FLOOR else "learns"
    if not moved:
        return "flat"
    return "learns" if skill is None and improved > IMPROVING else "slow"


def _rises(summary: CurveSummary, count: int) -> bool:
    """Say whether a loss rises from its lowest point, by more than noise and by a good part of its fall."""
    rise, fall = summary.last - summary.lowest, summary.first - summary.lowest
    if count < FEWEST_RECORDS or summary.since_lowest < SINCE_LOWEST:
        return False
    beyond = rise > BEYOND_NOISE * np.sqrt(2) * summary.noise
    return bool(beyond and rise > LOST_AGAIN * fall and relative(summary.lowest, summary.last) > RISEN)


def symptom(states: Sequence[TaskState], updates: int) -> Symptom:
    """Return the documented check: a loss that is FLAT beside one that is IMPROVING."""
    flat = tuple(state.task for state in states if abs(state.change) < FLAT)
    improving = tuple(state.task for state in states if state.change < -IMPROVING)
    return Symptom(bool(flat and improving), flat, improving, updates)


def course_evidence(state: TaskState) -> tuple[Evidence, ...]:
    """Return the figures of a loss's course."""
    found = [
        Evidence("loss first", state.first),
        Evidence("loss last", state.last),
        Evidence("change", 100 * state.change, "%"),
    ]
    if state.trend is not None:
        found.append(Evidence("trend over the last third", 100 * state.trend, "%"))
    if state.skill is not None:
        found.append(Evidence("skill", 100 * state.skill, "%", f"learned from {100 * LEARNED:.0f} %"))
    return tuple(found)


def diverged(states: Sequence[TaskState], curves: Mapping[str, Values], confidence: Confidence) -> Ruling:
    """Find losses that are not finite, or that rose far above where they began."""
    findings = []
    for state in states:
        if state.state != "diverged":
            continue
        bad = curves[state.task][~finite(curves[state.task])]
        if ends_unusable(curves[state.task]):
            text = f"{state.task}'s loss is not finite in {len(bad)} of {len(curves[state.task])} records"
            evidence: tuple[Evidence, ...] = (Evidence("records that are not finite", float(len(bad))),)
            findings.append(Finding(Code.DIVERGED, state.task, "error", "certain", text, evidence))
        else:
            text = f"{state.task}'s loss rose from {state.first:.4g} to {state.last:.4g}"
            limit = Evidence("loss last", state.last, "", f"{BLOWN_UP:g} times the first or the constant's")
            evidence = (Evidence("loss first", state.first), limit)
            findings.append(Finding(Code.DIVERGED, state.task, "error", confidence, text, evidence))
    return ruling("losses bounded", findings, "in every record")


def gaps(states: Sequence[TaskState], curves: Mapping[str, Values]) -> Ruling:
    """Find losses that are not finite now and then, and finite again after: no divergence stays behind."""
    findings = []
    for state in states:
        values = curves[state.task]
        missing = len(values) - int(finite(values).sum())
        if missing and state.state != "diverged":
            text = (
                f"{state.task}'s loss is not finite in {missing} of {len(values)} records, and finite again "
                "after: batches without any of its targets, or numbers that overflow"
            )
            evidence = (Evidence("records that are not finite", float(missing)),)
            findings.append(Finding(Code.BAD_TARGETS, state.task, "warning", "likely", text, evidence))
    return ruling("losses finite", findings, "in every record")


def zeros(states: Sequence[TaskState], curves: Mapping[str, Values]) -> Ruling:
    """Find losses that are exactly 0 from the first record to the last."""
    findings = []
    for state in states:
        known = curves[state.task][finite(curves[state.task])]
        if len(known) > 1 and not known.any():
            text = (
                f"{state.task}'s loss is exactly 0 in every record: it has no targets (all masked?), or it "
                "is multiplied by 0"
            )
            evidence = (Evidence("records", float(len(known))),)
            findings.append(Finding(Code.BAD_TARGETS, state.task, "warning", "possible", text, evidence))
    return ruling("losses not 0", findings, "from the first record on")


def stuck(states: Sequence[TaskState], flat: Severity, confidence: Confidence, unknown: str) -> Ruling:
    """Find tasks that are flat, rising or slow for no reason that was found, or flat at a low level.

    Args:
        states: how the tasks do that no other finding accounts for.
        flat: how bad a flat task is that is known not to have learned; of any other, it is a warning.
        confidence: of what is said.
        unknown: why no reason is given, in a few words.
    """
    findings = []
    for state in states:
        task, evidence, percent = state.task, course_evidence(state), abs(100 * state.change)
        if state.state == "flat":
            how = "moved" if abs(state.change) < FLAT else "fell" if state.change < 0 else "rose"
            within = "" if how == "moved" else ", within its noise"
            text = f"{task}'s loss {how} by {percent:.1f} %{within}, and {unknown}"
            # Without the constant's loss, a flat one may be that of a task that was trained before.
            severity: Severity = "warning" if state.skill is None else flat
            findings.append(Finding(Code.FLAT_TASK, task, severity, confidence, text, evidence))
        elif state.state == "rising":
            text = f"{task}'s loss rises to {state.last:.4g}, and {unknown}"
            if state.change < FLAT:
                text = f"{task}'s loss fell, and rises again to {state.last:.4g}; {unknown}"
            severity = flat if state.change >= 0 else "warning"
            findings.append(Finding(Code.RISING_LOSS, task, severity, confidence, text, evidence))
        elif state.state == "slow":
            text = f"{task}'s loss fell by {_so_far(state, percent)}"
            findings.append(Finding(Code.SLOW, task, "warning", confidence, text, evidence))
        elif state.state == "at_floor":
            text = f"{task}'s loss is flat because little is left to learn"
            findings.append(Finding(Code.AT_NOISE_FLOOR, task, "info", confidence, text, evidence))
    if not findings and all(state.state == "unknown" for state in states):
        return not_run("every loss falls", "needs two records of a loss or more")
    return ruling("every loss falls", findings, "losses fall by more than their noise")


def _so_far(state: TaskState, percent: float) -> str:
    if state.skill is None:
        return f"only {percent:.1f} %"
    return f"{percent:.1f} %, to a skill of {100 * state.skill:.1f} %"


def too_few_updates(states: Sequence[TaskState], updates: int) -> Ruling:
    """Find a budget that is too small to tell stuck tasks from young ones."""
    if not updates:
        return not_run("enough updates", "none is recorded")
    behind = [state.task for state in states if state.state in {"flat", "slow"}]
    findings = []
    if behind and updates < FEW_UPDATES:
        text = f"{updates} updates are few: {', '.join(behind)} may just need more"
        evidence = (Evidence("updates", float(updates), "updates", f"below {FEW_UPDATES}"),)
        findings.append(Finding(Code.BUDGET_TOO_SMALL, None, "warning", "possible", text, evidence))
    return ruling("enough updates", findings, f"{updates:,}")
