"""What a TARGET of `mtctl diagnose` is, and which flags go with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtctl.errors import MtctlError
from mtctl.text import command_line

if TYPE_CHECKING:
    from mtctl.recipes.recipe import Recipe

_EPOCHS: Final = 5
"""The documented check is one on 5 epochs."""
_EPISODES: Final = 60
"""About a minute of all lander tasks."""


class Kind(StrEnum):
    """What can be diagnosed."""

    RECIPE = "recipe"
    RUN = "run"
    METRICS = "metrics file"


_TABLES: Final = (".csv", ".jsonl")
_RECIPES: Final = (".yaml", ".yml")
_FILES: Final = (*_TABLES, *_RECIPES)
_READ: Final = "it is read, nothing is trained"
_FLAGS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.RECIPE: frozenset(
        {
            "--epochs",
            "--episodes",
            "-o",
            "--task",
            "--seeds",
            "--jobs",
            "--verify",
            "--no-verify",
            "--budget",
            "--write-recipe",
            "--force",
        }
    ),
    Kind.RUN: frozenset(),
    Kind.METRICS: frozenset({"--tasks"}),
}
"""Flags that only some targets understand."""
_HOURS: Final = "an experiment on the lander takes hours, so that none is made"
_PLAYED: Final[Mapping[str, str]] = {
    "--epochs": "the lander is played in episodes: use --episodes",
    "--verify": _HOURS,
    "--write-recipe": f"{_HOURS} and no remedy is tried",
    "--jobs": f"{_HOURS} and there is one training only",
    "--task": f"{_HOURS}: all tasks are judged by the one training",
}
"""Flags that a recipe of the lander does not understand, and why."""


def kind_of(target: str) -> Kind:
    """Return what a target is: a directory with a run in it, figures in a file or a pipe, or else a recipe.

    Raises:
        MtctlError: there is nothing of that name, or it is nothing that can be diagnosed.
    """
    from mtctl.engine.files import is_stream
    from mtctl.recipes import builtin

    if not target:
        raise MtctlError("a target is needed: a recipe, a run directory or a metrics file")
    path = Path(target)
    if not builtin.exists(path):
        if target in builtin.names():
            return Kind.RECIPE
        raise _missing(target, path)
    if path.is_dir():
        _require_run(path)
        return Kind.RUN
    if path.suffix.lower() in _TABLES or (is_stream(path) and path.suffix not in _RECIPES):
        return Kind.METRICS
    if path.suffix.lower() in _RECIPES:
        return Kind.RECIPE
    hint = "a recipe ends in .yaml, a metrics file in .csv or .jsonl"
    if path.suffix == ".pt":
        hint = f"name the run's directory: {path.parent.parent}"
    raise MtctlError(f"{target} is neither a recipe, a run nor a metrics file", hint=hint)


def refuse_flags(kind: Kind, target: str, given: Iterable[str]) -> None:
    """Refuse flags that mean nothing for a target.

    Args:
        kind: of the target.
        target: as the user wrote it.
        given: the flags that were given, of those that not every target understands.
    """
    for flag in given:
        if flag in _FLAGS[kind]:
            continue
        if flag == "--tasks":
            raise MtctlError(
                f"--tasks names columns of a metrics file; {target} is a {kind}",
                hint="--task NAME examines one task of a recipe" if kind is Kind.RECIPE else None,
            )
        hint = (
            f"a recipe is trained: {command_line(['mtctl', 'diagnose', f'{target}/recipe.yaml'])}"
            if kind is Kind.RUN
            else None
        )
        raise MtctlError(f"{flag} does not go with a {kind}: {_READ}", hint=hint)


def refuse_for_problem(recipe: Recipe, given: Iterable[str]) -> None:
    """Refuse flags that mean nothing for a recipe's problem."""
    for flag in given:
        if recipe.problem.kind == "lander" and flag in _PLAYED:
            hint = (
                None
                if flag == "--epochs"
                else "train recipes and compare them: `mtctl train`, `mtctl compare`"
            )
            raise MtctlError(f"{flag} does not go with {recipe.name}: {_PLAYED[flag]}", hint=hint)
        if recipe.problem.kind != "lander" and flag == "--episodes":
            raise MtctlError(
                f"{flag} does not go with {recipe.name}: it learns from a data set, in epochs",
                hint="use --epochs",
            )


def recipes_of(
    reference: str, overrides: Sequence[str], epochs: int | None, episodes: int | None
) -> tuple[Recipe, Recipe]:
    """Return a recipe with its own length, and with the length that is looked at.

    Args:
        reference: a path, or the name of a built-in recipe.
        overrides: the arguments of `-o`; one of the length holds for both.
        epochs: to look at, of a data set; None: 5, or the recipe's own where it has fewer.
        episodes: to look at, of all tasks together; None: 60, likewise. Every task has equally many.

    Raises:
        MtctlError: the recipe is wrong.
    """
    from mtctl.recipes.loading import load
    from mtctl.recipes.recipe import LanderRecipe

    full = load(reference, overrides)
    if isinstance(full, LanderRecipe):
        key, tasks = "problem.episodes_per_task", len(full.problem.tasks)
        wanted = None if episodes is None else ceil(episodes / tasks)
        usual = min(ceil(_EPISODES / tasks), full.problem.episodes_per_task)
    else:
        key, wanted, usual = "training.epochs", epochs, min(_EPOCHS, full.units)
    if wanted is not None:
        return full, load(reference, [*overrides, f"{key}={wanted}"])
    return full, load(reference, [f"{key}={usual}", *overrides])


def columns_of(text: str) -> dict[str, str]:
    """Return {task: column} of `--tasks a=loss_a,b=loss_b`."""
    columns: dict[str, str] = {}
    for part in text.split(","):
        task, equals, column = (piece.strip() for piece in part.partition("="))
        if not (task and equals and column):
            raise MtctlError(f"--tasks: `{part.strip()}` is not task=column", hint="write a=loss_a,b=loss_b")
        if task in columns:
            raise MtctlError(f"--tasks: task `{task}` is listed twice")
        columns[task] = column
    return columns


def _require_run(path: Path) -> None:
    from mtctl.history.runs import find_runs

    if _is_run(path):
        return
    runs = find_runs([path])
    raise MtctlError(f"{path} holds {len(runs)} runs; one is diagnosed at a time", hint=f"such as {runs[0]}")


def _missing(target: str, path: Path) -> MtctlError:
    from mtctl.recipes import builtin
    from mtctl.yaml.mistakes import closest, shortened

    if path.suffix in _RECIPES and path.stem in builtin.names():
        hint = f"`{path.stem}` is a built-in recipe: name it without folder and suffix"
        return MtctlError(f"{target} does not exist", hint=hint)
    match = closest(target, [*_neighbours(path), *builtin.names()])
    guess = f"did you mean `{match}`? " if match else ""
    return MtctlError(
        f"there is no recipe, run or metrics file `{shortened(target)}`",
        hint=f"{guess}`mtctl recipes list` shows the built-in recipes, `ls results/*` the runs",
    )


def _neighbours(path: Path) -> list[str]:
    """Return what lies beside a path and can be diagnosed."""
    try:
        return [str(other) for other in path.parent.iterdir() if _is_run(other) or other.suffix in _FILES]
    except (OSError, ValueError):
        return []


def _is_run(path: Path) -> bool:
    from mtctl.engine import layout

    return any((path / name).exists() for name in (layout.RUN, layout.RECIPE, layout.METRICS))
