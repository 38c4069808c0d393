"""What the records of played episodes tell: returns, successes, exploration, experience and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from mtctl.diagnosis.records.history import History
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.records.trends import Values, blocks, mann_kendall, relative, trend
from mtctl.diagnosis.report import Evidence, Finding, Severity, State, TaskState
from mtctl.problems.kind import Kind
from mtctl.problems.score import Score
from mtctl.statistics import wilson_interval

_FEWEST_EPISODES: Final = 20
"""Episodes of a task below which its returns (deviation about 100) tell nothing."""
_LEARNED: Final = 0.5
"""Part of the way from the first returns to the threshold of success from which a task has learned."""
_MOVED: Final = 0.1
"""Part of that way below which it is where it began."""
_Z: Final = 1.96
"""Two-sided 5 %."""
_EXPLORING: Final = 0.1
"""Random part of the actions up to which training returns speak of the policy."""
_SEEN_ENOUGH: Final = 100
"""Episodes without success that count: a task with 5 % successes would show one with a chance of 99 %."""
_OTHERS_SUCCEED: Final = 0.2
"""Success rate of another task beside which none at all is remarkable."""
_ONE_ENDING: Final = 0.8
"""Part of the later episodes that end one way in a task whose goal is out of reach."""
_STARVED: Final = 0.25
"""Part of a fair share (1/T) of the learned rows below which a task is starved."""
_COLLAPSED: Final = 0.01
"""Weight over the mean weight below which a task is switched off: 0.0002 in a collapsed run."""
_PINNED: Final = 0.1
"""Weight over the mean weight below which one that rests counts as pinned; GradNorm's floor is 0.05."""
_STILL: Final = 0.05
"""Relative range of a weight that no longer moves."""


def task_state(history: History, task: str, score: Score) -> TaskState:
    """Return how a task does, from its returns: means over its first and last fifth of episodes.

    The temporal-difference loss says nothing here: it grows with the returns.

    Args:
        history: of the training.
        task: its name.
        score: what episodes are scored by.
    """
    returns = _returns(history, task)
    if len(returns) < 2:
        value = float(returns[0]) if len(returns) else float("nan")
        return TaskState(task, "unknown", value, value, 0.0 if len(returns) else float("nan"))
    first, last = _ends(returns)
    ended = [episode.outcome for episode in history.episodes(task)]
    tail, losses = trend(returns), history.losses(task)
    measures = {}
    if score.outcomes:
        succeeded = ended[-_fifth(returns) :].count(score.outcomes[0])
        measures["success_rate_last_fifth"] = succeeded / _fifth(returns)
    if len(losses):
        measures |= {"loss_first": float(losses[0]), "loss_last": float(losses[-1])}
    return TaskState(
        task=task,
        state=_state(returns, first, last, history.updates, score.success),
        first=first,
        last=last,
        change=relative(first, last),
        trend=None if tail is None else tail.change,
        measures=measures,
    )


def _returns(history: History, task: str) -> Values:
    return np.array([episode.episode_return for episode in history.episodes(task)], dtype=np.float64)


def _fifth(values: Values) -> int:
    return max(1, len(values) // 5)


def _ends(returns: Values) -> tuple[float, float]:
    part = _fifth(returns)
    return float(returns[:part].mean()), float(returns[-part:].mean())


def _state(returns: Values, first: float, last: float, updates: int, success: float | None) -> State:
    if len(returns) < _FEWEST_EPISODES or not updates:
        return "unknown"
    rises = mann_kendall(blocks(returns)) >= _Z
    if success is None:
        return "learns" if rises else "flat"
    if first >= success and last >= success:
        return "at_floor"
    way = (last - first) / max(success - first, 1.0)
    if last < success and (way < _MOVED or not rises):
        return "flat"
    return "learns" if last >= success or way >= _LEARNED else "slow"


def returns_improve(history: History, states: Sequence[TaskState], score: Score) -> Ruling:
    """Find tasks whose return does not improve, or not far enough."""
    success = "" if score.success is None else f"success from {score.success:g}"
    severity: Severity = "error" if _has_exploited(history) else "warning"
    findings = []
    for state in states:
        if state.state not in {"flat", "slow"}:
            continue
        evidence = (
            Evidence("return, first fifth of the episodes", state.first),
            Evidence("return, last fifth", state.last, "", success),
            Evidence(
                "Mann–Kendall z", mann_kendall(blocks(_returns(history, state.task))), "", f"{_Z} or more"
            ),
        )
        if state.state == "flat":
            text = f"{state.task}'s return does not improve: {state.first:.0f}, then {state.last:.0f}"
            findings.append(Finding("flat-task", state.task, severity, "likely", text, evidence))
        else:
            text = f"{state.task}'s return improves slowly: {state.first:.0f}, then {state.last:.0f}"
            findings.append(Finding("slow", state.task, "warning", "likely", text, evidence))
    if not history.updates or all(len(history.episodes(task)) < _FEWEST_EPISODES for task in history.tasks):
        return not_run("returns improve", f"needs {_FEWEST_EPISODES} episodes of a task, and updates")
    return ruling("returns improve", findings, "of every task, by more than chance")


def _has_exploited(history: History) -> bool:
    last = _last_epsilon(history)
    return last is not None and last <= _EXPLORING


def _last_epsilon(history: History) -> float | None:
    found = [episode.epsilon for task in history.tasks for episode in history.episodes(task)[-1:]]
    return max(found) if found else None


def exploration(history: History) -> Ruling:
    """Find a run that ended before it played by what it has learned."""
    last = _last_epsilon(history)
    if last is None:
        return not_run("exploration has ended", "there is no episode")
    findings = []
    if last > _EXPLORING:
        text = f"{100 * last:.0f} % of the last actions were random: the budget ended early"
        evidence = (Evidence("ε at the end", last, "", f"above {_EXPLORING:g}"),)
        findings.append(Finding("budget-too-small", None, "warning", "likely", text, evidence))
    return ruling("exploration has ended", findings, f"ε {last:g} at the end")


def experience(history: History) -> Ruling:
    """Find runs that never learned, and tasks that are missing in replay or in what is learned from it."""
    if not history.updates:
        text = f"no update in {len(history.units)} episodes: replay never held enough to start with"
        finding = Finding("replay-starvation", None, "error", "certain", text, (Evidence("updates", 0.0),))
        return ruling("experience of every task", [finding] if history.units else [], "no episode yet")
    findings = []
    fair = 1 / len(history.tasks)
    shares = _learned_shares(history)
    for task in history.tasks:
        rows = history.last("replay_rows", task)
        if rows == 0:
            text = f"there is no transition of {task} in replay"
            evidence: tuple[Evidence, ...] = (Evidence("rows in replay", 0.0, "rows"),)
            findings.append(Finding("replay-starvation", task, "error", "certain", text, evidence))
        elif task in shares and shares[task] < _STARVED * fair:
            text = f"{task} makes {100 * shares[task]:.1f} % of the rows that were learned from"
            limit = f"below a quarter of {100 * fair:.0f} %"
            evidence = (Evidence("share of the learned rows", 100 * shares[task], "%", limit),)
            findings.append(Finding("replay-starvation", task, "warning", "likely", text, evidence))
    if not shares:
        return not_run("experience of every task", "rows by task were not recorded")
    return ruling("experience of every task", findings, "every task has its part in replay and updates")


def _learned_shares(history: History) -> Mapping[str, float]:
    """Return each task's share of the rows learned over the later half of the records."""
    later = history.signals[len(history.signals) // 2 :]
    totals = dict.fromkeys(history.tasks, 0.0)
    for signals in later:
        for task, share in signals.get("update_share", {}).items():
            totals[task] += (share or 0.0) * signals["updates"]
    everything = sum(totals.values())
    return {task: total / everything for task, total in totals.items()} if everything else {}


def weights(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find weights that began like the others, and that the balancing method has all but switched off."""
    by_task = {task: history.series("weight", task) for task in history.tasks}
    if len(history.tasks) < 2 or any(len(values) < 3 for values in by_task.values()):
        return not_run("weights stay alive", "needs two tasks and three records of their weights")
    mean_first = np.mean([abs(values[0]) for values in by_task.values()])
    mean_last = np.mean([_later(values) for values in by_task.values()])
    findings = []
    for state in states:
        values = by_task[state.task]
        if abs(values[0]) < _PINNED * mean_first or mean_last <= 0:
            continue
        part, half = _later(values) / mean_last, np.abs(values[len(values) // 2 :])
        pinned = part < _PINNED and np.ptp(half) < _STILL * half.max()
        if part < _COLLAPSED or pinned:
            text = f"{state.task}'s weight fell to {part:.2g} of the mean weight"
            evidence = (
                Evidence("weight at first", float(values[0])),
                Evidence("weight, last third", _later(values), "", f"{part:.2g} of the mean weight"),
            )
            severity: Severity = "error" if state.state == "flat" else "warning"
            findings.append(Finding("weights-collapsed", state.task, severity, "likely", text, evidence))
    return ruling("weights stay alive", findings, "no task is switched off")


def _later(values: Values) -> float:
    return float(np.median(np.abs(values[-max(1, len(values) // 3) :])))


def successes(history: History, kind: Kind[Any]) -> Ruling:
    """Find tasks that cannot succeed: by their rules, or to judge from many episodes beside others'."""
    if not kind.score.outcomes:
        return not_run("success within reach", "no way to end an episode counts as a success")
    success = kind.score.outcomes[0]
    ended = {task: [episode.outcome for episode in history.episodes(task)] for task in history.tasks}
    later = {task: outcomes[len(outcomes) // 2 :] for task, outcomes in ended.items()}
    rates = {task: each.count(success) / len(each) for task, each in later.items() if each}
    findings = []
    for task, outcomes in ended.items():
        if not outcomes or success in outcomes:
            continue
        limit = 100 * wilson_interval(0, len(outcomes)).high
        evidence = (
            Evidence("successes", 0.0, "episodes", f"of {len(outcomes)}; at most {limit:.1f} % (95 %)"),
            *(
                Evidence(f"successes of {each}", 100 * rate, "%")
                for each, rate in rates.items()
                if each != task
            ),
        )
        ending = max(later[task].count(each) for each in set(later[task])) / len(later[task])
        others = max((rate for each, rate in rates.items() if each != task), default=0.0)
        if task in kind.without_success:
            text = f"{task} {kind.without_success[task]}"
            findings.append(Finding("success-out-of-reach", task, "warning", "certain", text, evidence))
        elif len(outcomes) >= _SEEN_ENOUGH and others >= _OTHERS_SUCCEED and ending >= _ONE_ENDING:
            text = f"none of {len(outcomes)} episodes of {task} succeeded, and nearly all end the same way"
            findings.append(Finding("success-out-of-reach", task, "warning", "likely", text, evidence))
    return ruling("success within reach", findings, "nothing speaks against it")
