"""What signals of gradients, weights and heads tell about tasks that share one network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.report import Confidence, Evidence, Finding, Severity, TaskState
from mtctl.diagnosis.thresholds import (
    DEAD_UNITS,
    DOMINATED_SHARE,
    DOMINATING,
    FEWEST_COSINES,
    NO_GRADIENT,
    NO_SLOPE,
    OPPOSED,
    OUT_OF_REACH,
    THROWN_ABOUT,
    WORSE_THAN_CONSTANT,
)
from mtctl.history.history import History
from mtctl.statistics import t_quantile

_STUCK: Final = {"flat", "rising", "slow"}


def gradients_reach(history: History) -> Ruling:
    """Find tasks without any gradient on the shared parameters, or on their own head."""
    if not any(len(history.signal("gradient_norm", task).values) for task in history.tasks):
        return not_run("gradients reach trunk and heads", "no gradient was measured; see monitor.every")
    findings = []
    for task in history.tasks:
        shared, own = (history.signal(name, task).values for name in ("gradient_norm", "own_gradient_norm"))
        no_shared = len(shared) > 0 and shared.max() < NO_GRADIENT
        no_own = len(own) > 0 and own.max() < NO_GRADIENT
        if no_own:
            text = f"the gradient of {task}'s loss does not reach its own head"
            evidence = (Evidence("head gradient norm, largest", float(own.max()), "", f"{NO_GRADIENT:g}"),)
            findings.append(Finding(Code.DEAD_HEAD, task, "error", "certain", text, evidence))
        elif no_shared:
            text = f"the gradient of {task}'s loss does not reach the shared network"
            evidence = (
                Evidence("gradient norm on the trunk, largest", float(shared.max()), "", f"{NO_GRADIENT:g}"),
                *((Evidence("head gradient norm", float(own.mean())),) if len(own) else ()),
            )
            findings.append(Finding(Code.DETACHED_TASK, task, "error", "certain", text, evidence))
    return ruling("gradients reach trunk and heads", findings, "of every task")


def heads_move(history: History) -> Ruling:
    """Find heads that have a gradient and do not move, and heads that read features that do not vary."""
    if not any(len(history.signal("own_update", task).values) for task in history.tasks):
        return not_run("heads move", "not recorded for this problem")
    findings = []
    for task in history.tasks:
        own, moved = (
            history.signal("own_gradient_norm", task).values,
            history.signal("own_update", task).values,
        )
        if len(own) and len(moved) and own.min() > NO_GRADIENT and moved.max() == 0:
            text = f"{task}'s head receives gradients, but no update moves it"
            evidence = (
                Evidence("head gradient norm", float(own.mean())),
                Evidence("length of the head's step", 0.0, "", "in every record"),
            )
            findings.append(Finding(Code.NOT_IN_OPTIMIZER, task, "error", "certain", text, evidence))
    return ruling("heads move", findings, "every head that has a gradient")


def dead_inputs(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find heads whose inputs do not vary, and heads far from their targets with no slope to get there."""
    findings = []
    for state in states:
        task = state.task
        dead, relative = history.last("dead_units", task), history.last("relative_loss", task)
        if dead is not None and dead >= DEAD_UNITS:
            text = f"{100 * dead:.0f} % of the inputs of {task}'s head do not vary"
            evidence = Evidence("dead units", 100 * dead, "%", f"{100 * DEAD_UNITS:.0f} % or more")
            severity: Severity = "error" if state.state in {*_STUCK, "diverged"} else "warning"
            findings.append(Finding(Code.DEAD_HEAD, task, severity, "likely", text, (evidence,)))
            continue
        slope = _slope(history, state)
        if relative is not None and slope and _is_saturated(history, state):
            text = f"{task}'s head is saturated: its loss, {relative:.3g} times the constant's, has no slope"
            figures = (
                Evidence("loss / best constant's", relative, "", f"above {WORSE_THAN_CONSTANT:g}"),
                Evidence("head gradient norm / loss", slope, "", f"below {NO_SLOPE:g}"),
            )
            findings.append(Finding(Code.DEAD_HEAD, task, "error", "likely", text, figures))
    if not any(len(history.signal("dead_units", task).values) for task in history.tasks):
        return not_run("live heads", "not recorded for this problem")
    return ruling("live heads", findings, "inputs vary, and losses have a slope")


def _is_saturated(history: History, state: TaskState) -> bool:
    relative, slope = history.last("relative_loss", state.task), _slope(history, state)
    far = relative is not None and relative > WORSE_THAN_CONSTANT
    return state.state == "flat" and far and slope is not None and slope < NO_SLOPE


def _slope(history: History, state: TaskState) -> float | None:
    own = history.last("own_gradient_norm", state.task)
    return None if own is None or not state.last > 0 else own / state.last


def weights_not_zero(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find tasks whose loss is multiplied by exactly 0 in every record: nothing is learned for them."""
    weights = {task: history.signal("own_weight", task).values for task in history.tasks}
    if not any(map(len, weights.values())):
        return not_run("weights not 0", "no weights were recorded")
    findings = []
    for state in states:
        values = weights[state.task]
        if len(values) and not values.any():
            text = f"{state.task}'s weight is 0 in every record: no update is made for it"
            evidence = (Evidence("∂total/∂loss", 0.0, "", f"{len(values)} records"),)
            severity: Severity = "warning" if state.state in {"learns", "at_floor"} else "error"
            findings.append(
                Finding(Code.MULTIPLIER_DOMINANCE, state.task, severity, "certain", text, evidence)
            )
    return ruling("weights not 0", findings, "every task counts")


def learning_rate(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find a learning rate at which losses are thrown about, or at which no task moves."""
    findings = []
    thrown = [
        Evidence(f"{state.task}'s loss / best constant's", ratio, "", f"{THROWN_ABOUT:g} or more")
        for state in states
        if (ratio := history.last("relative_loss", state.task)) is not None
        and ratio >= THROWN_ABOUT
        and not _is_saturated(history, state)
    ]
    if thrown:
        worst = max(float(each.value) for each in thrown)
        text = f"a loss ends at {worst:.3g} times that of the best constant: the learning rate is too high"
        findings.append(Finding(Code.LEARNING_RATE, None, "error", "likely", text, tuple(thrown)))
    elif _nothing_moves(history, states):
        text = "no task learns, and no head can reach its targets: the learning rate is too low"
        reaches = tuple(
            Evidence(f"reach of {state.task}", reach, "", f"above {OUT_OF_REACH:g}")
            for state in states
            if (reach := _reach(history, state.task)) is not None
        )
        findings.append(Finding(Code.LEARNING_RATE, None, "error", "likely", text, reaches))
    return ruling("learning rate", findings, "no evidence against it")


def _nothing_moves(history: History, states: Sequence[TaskState]) -> bool:
    """Say whether no task learns, and none can reach its targets: then no single task is the matter."""
    reaches = [reach for state in states if (reach := _reach(history, state.task)) is not None]
    far = bool(reaches) and min(reaches) > OUT_OF_REACH
    return len(states) > 1 and far and all(state.state in _STUCK for state in states)


def _reach(history: History, task: str) -> float | None:
    # The first record's: later ones are smaller, as the trunk's features grow with training.
    values = history.signal("reach", task).values
    return float(values[0]) if len(values) else None


def targets_in_reach(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find tasks that do not learn, whose heads cannot travel as far as their targets in the whole run."""
    if not any(len(history.signal("reach", task).values) for task in history.tasks):
        return not_run("targets in reach", "not recorded for this problem or optimizer")
    findings = []
    for state in states:
        reach = _reach(history, state.task)
        if state.state in _STUCK and reach is not None and reach > OUT_OF_REACH:
            text = (
                f"{state.task}'s targets are {reach:.3g} times as far as its head can move in the whole run"
            )
            evidence = (
                Evidence("reach", reach, "", f"above {OUT_OF_REACH:g}"),
                Evidence("change of the loss", 100 * state.change, "%"),
            )
            findings.append(_of_cause(Code.TARGET_OUT_OF_REACH, state, text, evidence))
    return ruling("targets in reach", findings, "of the tasks that do not learn")


def multipliers(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find tasks that do not learn, and that have next to no part in the shared network's gradient.

    A tiny share alone is no fault: Adam is indifferent to the gradient's length.
    """
    name = "shares of the gradient"
    shares = {task: history.signal("gradient_share", task).values for task in history.tasks}
    if len(history.tasks) < 2 or not any(map(len, shares.values())):
        return not_run(name, "needs two tasks that share a network, and measured gradients")
    findings = []
    for state in states:
        share, norm = shares[state.task], history.signal("gradient_norm", state.task).values
        if state.state not in _STUCK or not len(share) or norm.max() < NO_GRADIENT:
            continue
        middle = float(np.median(share))
        by_weight, by_norm = (
            _exceeded(history, each, state.task) for each in ("own_weight", "gradient_norm")
        )
        if middle >= DOMINATED_SHARE or max(by_weight[0], by_norm[0]) < DOMINATING:
            continue
        (factor, other), what = max((by_weight, "∂total/∂loss"), (by_norm, "gradient norm"))
        part = f"{state.task} has {100 * middle:.2g} % of the shared gradient"
        text = f"{part}: {other}'s {what} is {factor:.3g} times as large"
        evidence = (
            Evidence(
                "share of the trunk's gradient", 100 * middle, "%", f"below {100 * DOMINATED_SHARE:g} %"
            ),
            Evidence(f"{what}, {other} over {state.task}", factor, "", f"above {DOMINATING:g}"),
        )
        finding = _of_cause(Code.MULTIPLIER_DOMINANCE, state, text, evidence)
        if state.skill is None and by_norm > by_weight:
            # Its gradient may be small because it was trained before: then its loss is at its floor.
            finding = replace(finding, severity="warning")
        findings.append(finding)
    return ruling(name, findings, "no stuck task has too small a share")


def _exceeded(history: History, name: str, task: str) -> tuple[float, str]:
    """Return how many times another task's median of a signal exceeds the task's, and whose."""
    medians = {
        each: float(np.median(values))
        for each in history.tasks
        if len(values := history.signal(name, each).values)
    }
    own = medians.pop(task, 0.0)
    if not medians or own <= 0:
        return 0.0, task
    largest = max(medians, key=medians.__getitem__)
    return medians[largest] / own, largest


def conflicts(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find tasks that do not learn, and whose gradient another's opposes beyond the noise of the records.

    The sign of a cosine in one batch is chance: the mean over the records counts, within its t interval.
    """
    behind = {state.task: state for state in states if state.state in _STUCK}
    measured = {
        pair: values
        for pair in history.pairs
        if len(values := history.signal("cosine", pair).values) >= FEWEST_COSINES
    }
    if not measured:
        return not_run("conflicting gradients", f"needs cosines in {FEWEST_COSINES} records or more")
    findings = []
    for pair, values in measured.items():
        # 5 % for all pairs together (Bonferroni): of six pairs, one is below 0 by chance in every third run.
        quantile = t_quantile(1 - 0.025 / len(measured), len(values) - 1)
        mean, margin = float(values.mean()), quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
        if mean > OPPOSED or mean + margin >= 0:
            continue
        for task in sorted(behind.keys() & set(pair.split("|"))):
            other = next((each for each in pair.split("|") if each != task), task)
            text = f"{other}'s gradient opposes {task}'s on the shared network"
            evidence = (
                Evidence("mean cosine", mean, "", f"below {OPPOSED:g}"),
                Evidence("half-width of its 95 % interval", margin, "", f"{len(values)} records"),
            )
            findings.append(_of_cause(Code.CONFLICT, behind[task], text, evidence))
    lowest = min(measured, key=lambda pair: float(measured[pair].mean()))
    passed = f"lowest mean cosine {measured[lowest].mean():+.2f} ({lowest.replace('|', ' and ')})"
    return ruling("conflicting gradients", findings, passed)


def _of_cause(code: Code, state: TaskState, text: str, evidence: tuple[Evidence, ...]) -> Finding:
    severity: Severity = "error" if state.state in {"flat", "rising"} else "warning"
    confidence: Confidence = "likely"
    return Finding(code, state.task, severity, confidence, text, evidence)
