"""What the records of played episodes tell: returns, successes, exploration, experience and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records import players
from mtctl.diagnosis.records.ruling import Ruling, not_run, ruling
from mtctl.diagnosis.records.trends import Values, blocks, mann_kendall, relative, trend
from mtctl.diagnosis.report import Evidence, Finding, Severity, State, TaskState
from mtctl.diagnosis.thresholds import (
    COLLAPSED,
    EXPLORING,
    FEWEST_EPISODES,
    ONE_ENDING,
    OTHERS_SUCCEED,
    PINNED,
    RESTING,
    RETURN_LEARNED,
    RETURN_MOVED,
    SEEN_ENOUGH,
    STARVED,
    TWO_SIDED,
    percent,
)
from mtctl.history.history import History
from mtctl.problems.kind import Kind
from mtctl.problems.score import Score
from mtctl.statistics import wilson_interval


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
    ended = history.ending("outcome", task)
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
    return history.figure("return", task).values


def _fifth(values: Values) -> int:
    return max(1, len(values) // 5)


def _ends(returns: Values) -> tuple[float, float]:
    part = _fifth(returns)
    return float(returns[:part].mean()), float(returns[-part:].mean())


def _state(returns: Values, first: float, last: float, updates: int, success: float | None) -> State:
    if len(returns) < FEWEST_EPISODES or not updates:
        return "unknown"
    rises = mann_kendall(blocks(returns)) >= TWO_SIDED
    if success is None:
        return "learns" if rises else "flat"
    if first >= success and last >= success:
        return "at_floor"
    way = (last - first) / max(success - first, 1.0)
    if last < success and (way < RETURN_MOVED or not rises):
        return "flat"
    return "learns" if last >= success or way >= RETURN_LEARNED else "slow"


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
                "Mann–Kendall z",
                mann_kendall(blocks(_returns(history, state.task))),
                "",
                f"{TWO_SIDED} or more",
            ),
        )
        course = f"{shown(state.first)}, then {shown(state.last)}"
        if state.state == "flat":
            text = f"{state.task}'s return does not improve: {course}"
            findings.append(Finding(Code.FLAT_TASK, state.task, severity, "likely", text, evidence))
        else:
            text = f"{state.task}'s return improves slowly: {course}"
            findings.append(Finding(Code.SLOW, state.task, "warning", "likely", text, evidence))
    if not history.updates or all(len(_returns(history, task)) < FEWEST_EPISODES for task in history.scored):
        return not_run("returns improve", f"needs {FEWEST_EPISODES} episodes of a task, and updates")
    return ruling("returns improve", findings, "of every task, by more than chance")


def shown(value: float) -> str:
    """Return a return as text: whole, or with two decimals where it is small."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"


def values_bounded(history: History) -> Ruling:
    """Find tasks whose temporal-difference loss grows without bound: the value function diverges."""
    losses = {f"{task}'s temporal-difference loss": (task, history.losses(task)) for task in history.tasks}
    if not any(len(values) for _, values in losses.values()):
        return not_run("values bounded", "no loss is recorded")
    scale = players.scale_of([_returns(history, task) for task in history.tasks])
    return players.values_bounded(losses, scale)


def _has_exploited(history: History) -> bool:
    last = _last_epsilon(history)
    return last is not None and last <= EXPLORING


def _last_epsilon(history: History) -> float | None:
    """Return the share of random actions in each task's last episode, the largest of them."""
    played = [history.figure("return", task).units[-1:] for task in history.scored]
    if "epsilon" not in history.extra:
        return None
    found = history.extra["epsilon"][np.isin(history.units, np.concatenate(played))]
    return float(max(found)) if len(found) else None


def exploration(history: History) -> Ruling:
    """Find a run that ended before it played by what it has learned."""
    last = _last_epsilon(history)
    if last is None:
        return not_run("exploration has ended", "no episode yet")
    findings = []
    if last > EXPLORING:
        text = f"{100 * last:.0f} % of the last actions were random: the budget ended early"
        evidence = (Evidence("ε at the end", last, "", f"above {EXPLORING:g}"),)
        findings.append(Finding(Code.BUDGET_TOO_SMALL, None, "warning", "likely", text, evidence))
    return ruling("exploration has ended", findings, f"ε {last:g} at the end")


def experience(history: History) -> Ruling:
    """Find runs that never learned, and tasks that are missing in replay or in what is learned from it."""
    if not history.updates:
        episodes = len(history.units)
        text = f"no update in {episodes} episodes: replay never held enough rows to start learning"
        finding = Finding(Code.REPLAY_STARVATION, None, "error", "certain", text, (Evidence("updates", 0.0),))
        return ruling("experience of every task", [finding] if episodes else [], "no episode yet")
    findings = []
    fair = 1 / len(history.tasks)
    shares = _learned_shares(history)
    for task in history.tasks:
        rows = history.last("replay_rows", task)
        if rows == 0:
            text = f"replay holds no transition of {task}"
            evidence: tuple[Evidence, ...] = (Evidence("rows in replay", 0.0, "rows"),)
            findings.append(Finding(Code.REPLAY_STARVATION, task, "error", "certain", text, evidence))
        elif task in shares and shares[task] < STARVED * fair:
            text = f"only {100 * shares[task]:.1f} % of the rows that were learned from are {task}'s"
            limit = f"below {percent(STARVED)} of {100 * fair:.0f} %"
            evidence = (Evidence("share of the learned rows", 100 * shares[task], "%", limit),)
            findings.append(Finding(Code.REPLAY_STARVATION, task, "warning", "likely", text, evidence))
    if not shares:
        return not_run("experience of every task", "rows by task were not recorded")
    return ruling("experience of every task", findings, "every task is in replay and in updates")


def _learned_shares(history: History) -> Mapping[str, float]:
    """Return each task's share of the rows learned over the later half of the records."""
    later = slice(len(history.learned) // 2, None)
    shares = history.signals.get("update_share", {})
    totals = {
        task: float(np.nansum(shares[task][later] * history.spent[later])) if task in shares else 0.0
        for task in history.tasks
    }
    everything = sum(totals.values())
    return {task: total / everything for task, total in totals.items()} if everything else {}


def weights(history: History, states: Sequence[TaskState]) -> Ruling:
    """Find weights that began like the others, and that the balancing method has all but switched off."""
    by_task = {task: history.signal("weight", task).values for task in history.tasks}
    if len(history.tasks) < 2 or any(len(values) < 3 for values in by_task.values()):
        return not_run("weights stay alive", "needs two tasks and three records of their weights")
    mean_first = np.mean([abs(values[0]) for values in by_task.values()])
    mean_last = np.mean([_later(values) for values in by_task.values()])
    findings = []
    for state in states:
        values = by_task[state.task]
        if abs(values[0]) < PINNED * mean_first or mean_last <= 0:
            continue
        part, half = _later(values) / mean_last, np.abs(values[len(values) // 2 :])
        pinned = part < PINNED and np.ptp(half) < RESTING * half.max()
        if part < COLLAPSED or pinned:
            text = f"{state.task}'s weight fell to {part:.2g} of the mean weight"
            evidence = (
                Evidence("weight at first", float(values[0])),
                Evidence("weight, last third", _later(values), "", f"{part:.2g} of the mean weight"),
            )
            severity: Severity = "error" if state.state == "flat" else "warning"
            findings.append(Finding(Code.WEIGHTS_COLLAPSED, state.task, severity, "likely", text, evidence))
    return ruling("weights stay alive", findings, "no task is switched off")


def _later(values: Values) -> float:
    return float(np.median(np.abs(values[-max(1, len(values) // 3) :])))


def successes(history: History, kind: Kind[Any]) -> Ruling:
    """Find tasks that cannot succeed: by their rules, or to judge from many episodes beside others'."""
    if not kind.score.outcomes:
        return not_run("success within reach", "no outcome of an episode counts as a success")
    success = kind.score.outcomes[0]
    ended = {task: history.ending("outcome", task) for task in history.tasks}
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
            findings.append(Finding(Code.SUCCESS_OUT_OF_REACH, task, "warning", "certain", text, evidence))
        elif len(outcomes) >= SEEN_ENOUGH and others >= OTHERS_SUCCEED and ending >= ONE_ENDING:
            text = f"none of {len(outcomes)} episodes of {task} succeeded, and nearly all end the same way"
            findings.append(Finding(Code.SUCCESS_OUT_OF_REACH, task, "warning", "likely", text, evidence))
    return ruling("success within reach", findings, "no evidence against it")
