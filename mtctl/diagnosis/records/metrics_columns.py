"""Which columns of a metrics file are the steps, and which are losses or returns of which task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from mtctl.diagnosis.records.column_names import (
    HELD_OUT,
    MEASURES,
    TRAINING,
    column_by_task,
    counter_of,
    losses,
    parsed_loss,
    words_of,
)
from mtctl.diagnosis.records.player_columns import is_playing, player_columns
from mtctl.diagnosis.records.task_columns import TaskColumns
from mtctl.errors import MtctlError
from mtctl.text import show_text
from mtctl.yaml.mistakes import closest

STEP: Final = "step"
"""The name by which a user says which column counts the steps: `--tasks step=COLUMN,…`."""
_SCORES: Final = {
    *("acc", "accuracy", "f1", "auc", "precision", "recall", "iou", "miou", "map", "psnr", "ssim", "bleu"),
    *("rouge", "r2", "score", "lr", "time", "runtime", "top1", "top5", "dice", "samples", "second", "rate"),
}
"""Names of what is to rise, or of what is no result."""
_GENERATOR: Final = {"g", "gen", "generator"}
_DISCRIMINATOR: Final = {"d", "dis", "disc", "discriminator"}
_ADVERSARIAL: Final = {"adv", "adversarial", "gan", "critic", *_GENERATOR, *_DISCRIMINATOR}
_REGULARISER: Final = {
    *("kl", "kld", "reg", "regularization", "regularizer", "penalty", "commit", "commitment", "decay"),
    *("balance", "balancing", "z"),
}
_SHOWN: Final = 20
_MOST_TASKS: Final = 500
"""Tasks of the largest models that anybody diagnoses; a file with more has other things in its columns."""


def choose(
    names: Sequence[str],
    wanted: Mapping[str, str] | None,
    place: str,
    repeated: Mapping[str, int],
    count: Callable[[str], int],
) -> dict[str, TaskColumns]:
    """Return the columns of each task, by their names or as the user says.

    Args:
        names: all columns.
        wanted: column by task; None or nothing: all that look like losses or returns.
        place: the file, for messages.
        repeated: columns that are there more than once, with how often.
        count: returns how many values a column has.

    Raises:
        MtctlError: a column is not there or there twice, or none looks like a task's loss.
    """
    for name in (wanted or {}).values():
        require_column(name, names, place)
    held_out = column_by_task(losses(names, held_out=True), count)[0]
    if wanted:
        tasks = {task: TaskColumns(column) for task, column in wanted.items()}
        tasks = {
            task: replace(columns, held_out=_beside(columns.column, task, held_out))
            for task, columns in tasks.items()
        }
    else:
        tasks = _found(names, place, count, held_out)
    if len(tasks) > _MOST_TASKS:
        raise MtctlError(
            f"{place} has {len(tasks):,} columns like a task's loss; at most {_MOST_TASKS} are read",
            hint="name those that matter: --tasks x=COLUMN,y=COLUMN",
        )
    if not tasks:
        raise MtctlError(
            f"{place} has no column that looks like a loss, such as `loss_x` or `train/x_loss`",
            hint=f"name them: --tasks x=COLUMN,y=COLUMN; columns: {_listed(names)}",
        )
    for columns in tasks.values():
        for column in filter(None, (columns.column, columns.held_out)):
            if column in repeated:
                text = f"{place} has {repeated[column]} columns `{show_text(column)}`"
                raise MtctlError(text, hint="give every column a different name")
    return tasks


def require_column(name: str, names: Sequence[str], place: str) -> None:
    """Refuse a column that is not there, with the closest that is."""
    if name in names:
        return
    match = closest(name, [known for known in names if known])
    guess = f"did you mean `{show_text(match)}`? " if match else ""
    raise MtctlError(f"{place} has no column `{show_text(name)}`", hint=f"{guess}columns: {_listed(names)}")


def _found(
    names: Sequence[str], place: str, count: Callable[[str], int], held_out: Mapping[str, str]
) -> dict[str, TaskColumns]:
    """Return the tasks of a file by the names of its columns."""
    if is_playing(names):
        return player_columns(names, count)
    training, unclear = column_by_task(losses(names, held_out=False), count)
    for task, columns in unclear.items():
        both = ", ".join(f"`{show_text(column)}`" for column in columns)
        raise MtctlError(
            f"{place}: {both} all look like the loss of task `{show_text(task)}`",
            hint=f"name the columns: --tasks {show_text(task)}={show_text(columns[0])},…",
        )
    of_tasks = {task: column for task, column in training.items() if task}
    tasks = {task: TaskColumns(column, held_out.get(task)) for task, column in of_tasks.items()}
    if not tasks:
        tasks = {task: TaskColumns(column, only_held_out=True) for task, column in held_out.items() if task}
        if "" in training:
            tasks["loss"] = TaskColumns(training[""], held_out.get(""))
        elif "" in held_out and not tasks:
            tasks["loss"] = TaskColumns(held_out[""], only_held_out=True)
    return _judged(tasks or _by_other_names(names, count))


def _judged(tasks: dict[str, TaskColumns]) -> dict[str, TaskColumns]:
    """Return tasks with those told apart that need not fall beside the others."""
    words = {task: set(words_of(task)) for task in tasks}
    every = set().union(*words.values()) if words else set()
    rivals = bool(every & _GENERATOR and every & _DISCRIMINATOR) or bool(every & {"gan", "adversarial"})
    apart = {
        task
        for task, its in words.items()
        if its & _REGULARISER
        or (rivals and its & _ADVERSARIAL and not its - _ADVERSARIAL - {"fake", "real", "loss"})
    }
    if apart == set(tasks) and not rivals:
        return tasks
    return {
        task: replace(columns, kind="unjudged") if task in apart else columns
        for task, columns in tasks.items()
    }


def _beside(column: str, task: str, held_out: Mapping[str, str]) -> str | None:
    """Return the held-out column of a task that the user named."""
    parsed = parsed_loss(column)
    if parsed is not None and not parsed.held_out and parsed.task in held_out:
        return held_out[parsed.task]
    return held_out.get(task) if held_out.get(task) != column else None


def _by_other_names(names: Sequence[str], count: Callable[[str], int]) -> dict[str, TaskColumns]:
    """Return tasks where no column is called a loss: by measures of error, or by pairs of train and val."""
    parsed = [name for name in (parsed_loss(name, MEASURES) for name in names) if name]
    training, held_out = (
        column_by_task([name for name in parsed if name.held_out is split], count)[0]
        for split in (False, True)
    )
    if training or held_out:
        return {
            task: TaskColumns(training[task], held_out.get(task))
            if task in training
            else TaskColumns(held_out[task], only_held_out=True)
            for task in training | held_out
        }
    splits: dict[str, dict[bool, str]] = {}
    for name in names:
        words = words_of(name)
        rest = "_".join(word for word in words if word not in TRAINING | HELD_OUT)
        if rest and set(words) & (TRAINING | HELD_OUT) and not set(words) & _SCORES and not counter_of(rest):
            splits.setdefault(rest, {})[bool(set(words) & HELD_OUT)] = name
    return {task: TaskColumns(pair[False], pair[True]) for task, pair in splits.items() if len(pair) == 2}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(show_text(name) for name in names[:_SHOWN] if name)
    return f"{shown}, … ({len(names)} in all)" if len(names) > _SHOWN else shown
