"""Columns of logs of reinforcement learning: returns, and losses that are none to be minimised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from mtctl.diagnosis.records.column_names import (
    HELD_OUT,
    LOSS,
    NO_LOSS,
    SPACES,
    column_by_task,
    losses,
    words_of,
)
from mtctl.diagnosis.records.task_columns import Kind, TaskColumns

_RETURNS: Final = {"rew", "reward", "return", "returns", "rewards", "ret"}
_EPISODES: Final = {
    *("ep", "episode", "episodic", "rollout", "mean", "avg", "average", "charts", "train", "eval", "test"),
}
_NO_RETURN: Final = {"chosen", "rejected", "margins", "accuracies", "model", "normalized", *LOSS, *NO_LOSS}
_PLAYING: Final = {
    *("rollout", "episodic", "actor", "critic", "td", "surrogate", "clipfrac", "rew", "qf1", "qf2", "qf"),
    *("reward", "return", "returns"),
}
"""Words that only logs of reinforcement learning have."""
_POLICY: Final = {
    *("policy", "actor", "surrogate", "pg", "pi", "entropy", "ent", "alpha", "temperature", "kl", "clip"),
}
_Q_VALUES: Final = {"q", "qf", "qf1", "qf2", "q1", "q2"}
_VALUE: Final = {"value", "critic", "td", "vf", "v", "bellman", "baseline", *_Q_VALUES}
_MONITOR: Final = {"r", "l", "t"}
"""Columns of Stable-Baselines3's monitor.csv: return, length, time."""


def is_playing(names: Sequence[str]) -> bool:
    """Say whether columns are those of a log of reinforcement learning."""
    words = [set(words_of(name)) for name in names]
    return (
        bool(_returns(names))
        or any(its & _PLAYING and not its & {"model"} for its in words)
        or any({"approx", "kl"} <= its or {"clip", "fraction"} <= its for its in words)
    )


def player_columns(names: Sequence[str], count: Callable[[str], int]) -> dict[str, TaskColumns]:
    """Return the returns, losses and action values of a log of reinforcement learning.

    Args:
        names: all columns.
        count: returns how many values a column has.
    """
    return _returns(names) | _losses(names, count)


def _returns(names: Sequence[str]) -> dict[str, TaskColumns]:
    """Return the columns of returns; those of evaluations only where there are no others."""
    if set(names) >= _MONITOR:
        return {"return": TaskColumns("r", kind="return")}
    found: dict[bool, dict[str, TaskColumns]] = {False: {}, True: {}}
    for name in names:
        words = words_of(name.rpartition(" - ")[2])
        its = set(words)
        if not its & _RETURNS or its & _NO_RETURN:
            continue
        rest = "_".join(word for word in words if word not in _RETURNS | _EPISODES | SPACES | HELD_OUT)
        evaluated = bool(its & HELD_OUT)
        found[evaluated].setdefault(f"return_{rest}" if rest else "return", TaskColumns(name, kind="return"))
    return found[False] or found[True]


def _losses(names: Sequence[str], count: Callable[[str], int]) -> dict[str, TaskColumns]:
    """Return the losses and action values of a log of reinforcement learning."""
    columns = column_by_task(losses(names, held_out=False), count)[0]
    by_words = {task: set(words_of(column)) for task, column in columns.items()}
    policies = any(words & _POLICY for words in by_words.values())
    tasks = {}
    for task, column in columns.items():
        policy = by_words[task] & _POLICY and not by_words[task] & (_VALUE - {"v"})
        kind: Kind = "unjudged" if policy or (not task and policies) else "value"
        tasks[task or "loss"] = TaskColumns(column, kind=kind)
    for name in names:
        words = set(words_of(name))
        if words & _Q_VALUES and not words & (LOSS | NO_LOSS):
            tasks.setdefault(name.rsplit("/", 1)[-1], TaskColumns(name, kind="value"))
    return tasks
