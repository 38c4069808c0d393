"""What loss curves alone tell: how each task does, the documented symptom, divergence, overfitting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.records.trends import (
    CurveSummary,
    Values,
    blocks,
    course,
    finite,
    noise,
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
    OVERFITTED,
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
        values: losses; one that is not finite means that it diverged.
        constant: loss of the best constant prediction, where that is known.
        skill: 1 − loss/constant at the end, on held-out data where there is some.
        measures: further figures to report.
    """
    known = values[finite(values)]
    if not len(known):
        nothing = float("nan")
        state: State = "diverged" if len(values) else "unknown"
        return TaskState(task, state, nothing, nothing, nothing, constant, skill, measures=measures or {})
    found, tail = course(known), trend(known)
    broken = len(known) < len(values)
    return TaskState(
        task=task,
        state="diverged" if broken else _state(found, len(known), constant, skill),
        first=found.first,
        last=found.last,
        change=found.change,
        constant=constant,
        skill=skill,
        trend=None if tail is None else tail.change,
        measures=measures or {},
    )


def _state(found: CurveSummary, count: int, constant: float | None, skill: float | None) -> State:
    if count < 2:
        return "unknown"
    if found.first > 0 and found.last > BLOWN_UP * max(found.first, constant or 0.0):
        return "diverged"
    improved = -found.change
    # Too few values have no noise to compare with: the documented threshold alone decides.
    moved = improved >= FLAT and (found.direction == "falling" or count < FEWEST_RECORDS)
    if skill is not None and skill >= LEARNED:
        return "at_floor" if not moved and skill >= AT_FLOOR else "learns"
    if not moved:
        return "flat"
    return "learns" if skill is None and improved > IMPROVING else "slow"


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
        if len(bad):
            text = f"{state.task}'s loss is not finite in {len(bad)} of {len(curves[state.task])} records"
            evidence: tuple[Evidence, ...] = (Evidence("records that are not finite", float(len(bad))),)
            findings.append(Finding(Code.DIVERGED, state.task, "error", "certain", text, evidence))
        else:
            text = f"{state.task}'s loss rose from {state.first:.4g} to {state.last:.4g}"
            limit = Evidence("loss last", state.last, "", f"{BLOWN_UP:g} times the first or the constant's")
            evidence = (Evidence("loss first", state.first), limit)
            findings.append(Finding(Code.DIVERGED, state.task, "error", confidence, text, evidence))
    return ruling("losses finite and bounded", findings, "in every record")


def stuck(states: Sequence[TaskState], flat: Severity, confidence: Confidence, unknown: str) -> Ruling:
    """Find tasks that are flat or slow for no reason that was found, or flat at a low level.

    Args:
        states: how the tasks do that no other finding accounts for.
        flat: how bad a flat task is.
        confidence: of what is said.
        unknown: why no reason is given, in a few words.
    """
    findings = []
    for state in states:
        task, evidence, percent = state.task, course_evidence(state), abs(100 * state.change)
        if state.state == "flat":
            how = (
                "rose"
                if state.change >= FLAT
                else "fell within its noise"
                if state.change <= -FLAT
                else "moved"
            )
            text = f"{task}'s loss {how} by {percent:.1f} %, and {unknown}"
            findings.append(Finding(Code.FLAT_TASK, task, flat, confidence, text, evidence))
        elif state.state == "slow":
            text = f"{task}'s loss fell by {_so_far(state, percent)}"
            findings.append(Finding(Code.SLOW, task, "warning", confidence, text, evidence))
        elif state.state == "at_floor":
            text = f"{task}'s loss is flat because little is left to learn"
            findings.append(Finding(Code.AT_NOISE_FLOOR, task, "info", confidence, text, evidence))
    return ruling("every loss falls", findings, "losses fall by more than their noise")


def _so_far(state: TaskState, percent: float) -> str:
    if state.skill is None:
        return f"only {percent:.1f} %"
    return f"{percent:.1f} %, to a skill of {100 * state.skill:.1f} %"


def too_few_updates(states: Sequence[TaskState], updates: int) -> Ruling:
    """Find a budget that is too small to tell stuck tasks from young ones."""
    behind = [state.task for state in states if state.state in {"flat", "slow"}]
    findings = []
    if behind and updates < FEW_UPDATES:
        text = f"{updates} updates are few: {', '.join(behind)} may just need more"
        evidence = (Evidence("updates", float(updates), "updates", f"below {FEW_UPDATES}"),)
        findings.append(Finding(Code.BUDGET_TOO_SMALL, None, "warning", "possible", text, evidence))
    return ruling("enough updates", findings, f"{updates:,}")


def overfitting(pairs: Mapping[str, tuple[Values, Values]], confidence: Confidence) -> Ruling:
    """Find tasks whose held-out loss rises from its lowest point while the training loss falls.

    Args:
        pairs: by task, training losses and held-out losses, each in order of time.
        confidence: of what is said.
    """
    long_enough = {task: pair for task, pair in pairs.items() if len(pair[1]) >= FEWEST_RECORDS}
    if not long_enough:
        return not_run("overfitting", f"needs held-out losses: {FEWEST_RECORDS} records or more")
    findings = [
        finding
        for task, (training, held_out) in long_enough.items()
        for finding in _overfitted(task, training, held_out, confidence)
    ]
    return ruling("overfitting", findings, "held-out losses stay near their lowest")


def _overfitted(task: str, training: Values, held_out: Values, confidence: Confidence) -> Iterator[Finding]:
    if not (finite(held_out).all() and finite(training).all()):
        return
    means = blocks(held_out)
    place = int(means.argmin())
    after = means[place + 1 :]
    if len(after) < SINCE_LOWEST:
        return
    lowest, last = float(means[place]), float(np.median(after[-max(SINCE_LOWEST, len(means) // 10) :]))
    rise = relative(lowest, last)
    beyond = last - lowest > BEYOND_NOISE * np.sqrt(2) * noise(means)
    if rise > OVERFITTED and beyond and course(training).direction == "falling":
        evidence = (
            Evidence("held-out loss, lowest", lowest),
            Evidence("held-out loss, last", last, "", f"{100 * rise:.0f} % higher"),
        )
        text = f"{task}'s held-out loss rises while its training loss falls"
        yield Finding(Code.OVERFITTING, task, "warning", confidence, text, evidence)
