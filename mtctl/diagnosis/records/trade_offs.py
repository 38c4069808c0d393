"""Losses of two tasks of which one rises as the other falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.records.trends import Values, finite
from mtctl.diagnosis.report import Evidence, Finding, TaskState
from mtctl.diagnosis.thresholds import FEWEST_RECORDS, FEWEST_TRADED, OPPOSITE, RISEN, SINCE_LOWEST


def trade_offs(states: Sequence[TaskState], curves: Mapping[str, Values]) -> Ruling:
    """Find tasks that do not learn, and whose loss rises when another's falls, and falls when it rises."""
    name = "tasks do not trade off"
    means = {task: _parts(values) for task, values in curves.items() if len(values) >= FEWEST_TRADED}
    if len(means) < 2:
        return not_run(name, f"needs two tasks with {FEWEST_TRADED} records or more")
    findings = []
    for state in states:
        if state.state not in {"flat", "slow", "rising"} or state.task not in means:
            continue
        own = means.pop(state.task)
        others = {task: _opposition(own, other) for task, other in means.items()}
        means[state.task] = own
        other = min(others, key=others.__getitem__)
        if others[other] < OPPOSITE:
            text = f"{state.task}'s loss rises when {other}'s falls: one may cost the other"
            evidence = (Evidence("correlation of the losses", others[other], "", f"below {OPPOSITE:g}"),)
            findings.append(Finding(Code.CONFLICT, state.task, "warning", "possible", text, evidence))
    return ruling(name, findings, "no loss rises as another falls")


def _parts(values: Values) -> Values:
    """Return the means of parts of a curve, as many for all curves: they are compared part by part."""
    known = np.where(finite(values), values, np.nan)
    with np.errstate(invalid="ignore"):
        return np.array(
            [
                part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan
                for part in np.array_split(known, FEWEST_TRADED)
            ]
        )


def _opposition(own: Values, other: Values) -> float:
    """Return how one loss moves with another, −1 to 1: over all parts where one rises, or part by part."""
    both = np.isfinite(own) & np.isfinite(other)
    own, other = own[both], other[both]
    if len(own) < FEWEST_RECORDS:
        return 0.0
    changes = _correlation(np.diff(own), np.diff(other))
    rises = own[-1] > own[0] * (1 + RISEN) and other[-1] < other[0] * (1 - RISEN)
    return min(changes, _correlation(own, other)) if rises and own.argmin() < SINCE_LOWEST else changes


def _correlation(a: Values, b: Values) -> float:
    if not (a.std() > 0 and b.std() > 0):
        return 0.0
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Values) -> Values:
    return values.argsort().argsort().astype(np.float64)
