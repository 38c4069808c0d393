"""Which columns of a metrics file are the steps, and which are losses of which task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mtctl.errors import MtctlError
from mtctl.text import show_text
from mtctl.yaml.mistakes import closest

STEP: Final = "step"
"""The name by which a user says which column counts the steps: `--tasks step=COLUMN,…`."""
_STEPS: Final = (
    "step",
    "global_step",
    "trainer_global_step",
    "iteration",
    "iter",
    "it",
    "update",
    "updates",
    "batch",
    "episode",
    "epoch",
)
"""Names of columns that count, the finest first."""
_LOSS: Final = {"loss", "losses"}
_TRAINING: Final = {"train", "training"}
_HELD_OUT: Final = {"val", "valid", "validation", "eval", "test", "dev", "heldout"}
_TOTALS: Final = {
    *("total", "sum", "all", "avg", "average", "mean", "combined", "overall", "weighted", "joint"),
    *("batch", "running", "smoothed"),
}
"""What the rest of a name is made of in a loss of all tasks together."""
_SUFFIXES: Final = {"step", "epoch"}
"""What loggers append to a column that is logged twice."""
_WORDS: Final = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
_SHOWN: Final = 20
_MOST_TASKS: Final = 500
"""Tasks of the largest models that anybody diagnoses; a file with more has other things in its columns."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns are.

    Args:
        step: the one that counts; None if there is none.
        losses: training loss by task.
        held_out: held-out loss by task, where there is one.
    """

    step: str | None
    losses: Mapping[str, str]
    held_out: Mapping[str, str]


def choose(names: Sequence[str], wanted: Mapping[str, str] | None, place: str) -> Columns:
    """Return what the columns are, by their names or as the user says.

    Args:
        names: all columns.
        wanted: column by task, and by `step` the one that counts; None or nothing: all that look like losses.
        place: the file, for messages.

    Raises:
        MtctlError: a column is not there or there twice, or none looks like a task's loss.
    """
    given = dict(wanted or {})
    step = given.pop(STEP, None)
    for name in (*given.values(), *(() if step is None else (step,))):
        _require(name, names, place)
    training, held_out = _by_task(names, held_out=False), _by_task(names, held_out=True)
    if not given:
        given = {task: _only(columns, task, place) for task, columns in training.items()}
    if len(given) > _MOST_TASKS:
        raise MtctlError(
            f"{place} has {len(given):,} columns like a task's loss; at most {_MOST_TASKS} are read",
            hint="name those that matter: --tasks x=COLUMN,y=COLUMN",
        )
    if not given:
        raise MtctlError(
            f"{place} has no column that looks like the loss of one task, such as `loss_x` or `train/x_loss`",
            hint=f"name them: --tasks x=COLUMN,y=COLUMN; columns: {_listed(names)}",
        )
    found = {}
    for task, column in given.items():
        if columns := held_out.get(_task(column) or task) or held_out.get(task):
            found[task] = columns[0]
    step = _found_step(names) if step is None else step
    counts = Counter(names)
    for name in (*given.values(), *found.values(), *(() if step is None else (step,))):
        if counts[name] > 1:
            text = f"{place} has {counts[name]} columns `{show_text(name)}`"
            raise MtctlError(text, hint="give every column a different name")
    return Columns(step, given, found)


def _require(name: str, names: Sequence[str], place: str) -> None:
    if name in names:
        return
    match = closest(name, [each for each in names if each])
    guess = f"did you mean `{show_text(match)}`? " if match else ""
    raise MtctlError(f"{place} has no column `{show_text(name)}`", hint=f"{guess}columns: {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(show_text(name) for name in names[:_SHOWN] if name)
    return f"{shown}, … ({len(names)} in all)" if len(names) > _SHOWN else shown


def _only(columns: Sequence[str], task: str, place: str) -> str:
    if len(columns) > 1:
        both = ", ".join(f"`{show_text(column)}`" for column in columns)
        raise MtctlError(
            f"{place}: {both} all look like the loss of task `{show_text(task)}`",
            hint=f"name the columns: --tasks {show_text(task)}={show_text(columns[0])},…",
        )
    return columns[0]


def _by_task(names: Sequence[str], *, held_out: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        task = _task(name)
        if task is not None and bool(_HELD_OUT & set(_words(name))) == held_out:
            found.setdefault(task, []).append(name)
    return found


def _task(name: str) -> str | None:
    """Return the task that a column is the loss of; None if it is no loss, or that of all tasks."""
    words = _words(name)
    if not _LOSS & set(words):
        return None
    if words[-1] in _SUFFIXES:
        words = words[:-1]
    rest = [word for word in words if word not in _LOSS | _TRAINING | _HELD_OUT]
    return None if set(rest) <= _TOTALS else "_".join(rest)


def _found_step(names: Sequence[str]) -> str | None:
    words = {"_".join(_words(name)): name for name in reversed(names)}
    return next((words[each] for each in _STEPS if each in words), None)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.split(name) if word]
