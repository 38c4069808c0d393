"""What a target of a diagnosis is, and which flags go with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtctl.errors import MtctlError
from mtctl.text import command_line

if TYPE_CHECKING:
    from mtctl.api.recipes import GivenRecipe
    from mtctl.problems.recipe import Recipe


class Kind(StrEnum):
    """What can be diagnosed."""

    RECIPE = "recipe"
    RUN = "run"
    METRICS = "metrics file"


_RECIPES: Final = (".yaml", ".yml")
_READ: Final = "it is only read, and nothing is trained"
_UNITS: Final = ("--epochs", "--episodes")
"""Flags that say how long a recipe is trained, in the unit of some problems."""


def kind_of_all(targets: Sequence[str]) -> Kind:
    """Return what targets are: one of any kind, or several metrics files of one training.

    Raises:
        MtctlError: one of them is nothing that can be diagnosed, or can be diagnosed only by itself.
    """
    kinds = {target: kind_of(target) for target in targets}
    for target, kind in kinds.items():
        if len(targets) > 1 and kind is not Kind.METRICS:
            raise MtctlError(
                f"{target} is a {kind}, which is diagnosed by itself",
                hint="only metrics files may be several",
            )
    return kinds[targets[0]]


def kind_of(target: str) -> Kind:
    """Return what a target is: a directory with a run or curves in it, curves in a file or pipe, or a recipe,
    which a function of one's own stands for too.

    Raises:
        MtctlError: there is nothing of that name, or it is nothing that can be diagnosed.
    """
    from mtctl.diagnosis.records.formats.names import ENDINGS, EVENTS, curve_files_in, is_curve_file
    from mtctl.engine.files import is_stream
    from mtctl.history.runs import find_runs
    from mtctl.problems.python import source as python
    from mtctl.recipes import builtin
    from mtctl.recipes.direct import is_function

    if not target:
        raise MtctlError("expected a target: a recipe, a run directory or a metrics file")
    path = Path(target)
    if is_function(target):
        return Kind.RECIPE
    if not builtin.exists(path):
        if target in builtin.names():
            return Kind.RECIPE
        raise _missing(target, path)
    if path.is_dir():
        if not find_runs([path], may_be_none=True) and curve_files_in(path):
            return Kind.METRICS
        _require_run(path)
        return Kind.RUN
    if is_curve_file(path) or (is_stream(path) and path.suffix not in _RECIPES):
        return Kind.METRICS
    if path.suffix.lower() in _RECIPES:
        return Kind.RECIPE
    if path.suffix == python.SUFFIX:
        python.split(target)
    hint = f"a recipe ends in .yaml, a metrics file in {', '.join(ENDINGS)}, or has `{EVENTS}` in its name"
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
    from mtctl.engine.directory import RunDirectory
    from mtctl.problems.kinds import LOOP

    for flag in given:
        if kind is (Kind.METRICS if flag == "--tasks" else Kind.RECIPE):
            continue
        if flag == "--tasks":
            raise MtctlError(
                f"--tasks names columns of a metrics file; {target} is a {kind}",
                hint="--task NAME examines one task of a recipe" if kind is Kind.RECIPE else None,
            )
        hint = (
            f"diagnose its recipe: {command_line(['mtctl', 'diagnose', f'{target}/recipe.yaml'])}"
            if kind is Kind.RUN and RunDirectory(Path(target)).told.get("problem") != LOOP
            else None
        )
        raise MtctlError(f"{flag} does not work with a {kind}: {_READ}", hint=hint)


def refuse_for_problem(recipe: Recipe, given: Iterable[str]) -> None:
    """Refuse flags that mean nothing for a recipe's problem."""
    from mtctl.problems.kinds import KINDS

    kind = KINDS[recipe.problem.kind]
    for flag in given:
        refusal = f"{flag} does not work with {recipe.name}: "
        if flag in _UNITS and flag != f"--{kind.unit}s":
            if kind.played:
                own = f"--{kind.unit}s"
                use = own if own in _UNITS else f"-o {recipe.budget_key}=N"
                raise MtctlError(f"{refusal}{kind.title} is played in {kind.unit}s: use {use}")
            text = f"{refusal}it learns from a data set, in {kind.unit}s"
            raise MtctlError(text, hint=f"use --{kind.unit}s")


def recipes_of(
    given: GivenRecipe,
    overrides: Sequence[str],
    units: int | None,
    complete: Callable[[Recipe], Recipe],
    *,
    verify: bool,
) -> tuple[Recipe, Recipe]:
    """Return a recipe with its own length, and with the length that is looked at.

    Args:
        given: a recipe, or what names one.
        overrides: the arguments of `-o`; one of the length holds for both.
        units: to look at, of all tasks together; None: the usual number of the kind of problem, or the
            recipe's own where it has fewer. Where units are of one task, every task has equally many.
        complete: returns a recipe with the tasks that its code names, which is run for that.
        verify: whether experiments are made: of what is played they need more than a look.

    Raises:
        MtctlError: the recipe is wrong.
    """
    from mtctl.api.recipes import budget_override, load_recipe
    from mtctl.problems.kinds import kind_of

    full = load_recipe(given, overrides)
    if units is not None:
        short = load_recipe(given, [*overrides, budget_override(full, units)])
    else:
        kind = kind_of(full)
        usual = kind.playing().units if kind.playing is not None and verify else kind.glance
        usual = min(usual, full.units)
        short = load_recipe(given, [budget_override(full, usual), *overrides])
    known = complete(full)
    if known is not full:  # they differ in their length only, and the code runs once
        short = short.model_copy(update={"problem": known.problem})
    return known, short


def columns_of(text: str) -> dict[str, str]:
    """Return {task: column} of `--tasks a=loss_a,b=loss_b`."""
    columns: dict[str, str] = {}
    for part in text.split(","):
        task, equals, column = (piece.strip() for piece in part.partition("="))
        if not (task and equals and column):
            raise MtctlError(
                f"--tasks: `{part.strip()}`: expected TASK=COLUMN", hint="write a=loss_a,b=loss_b"
            )
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
    from mtctl.diagnosis.records.formats.names import is_curve_file

    def fits(other: Path) -> bool:
        return _is_run(other) or other.suffix in _RECIPES or is_curve_file(other)

    try:
        return [str(other) for other in path.parent.iterdir() if fits(other)]
    except (OSError, ValueError):
        return []


def _is_run(path: Path) -> bool:
    from mtctl.engine import layout

    return any((path / name).exists() for name in (layout.RUN, layout.RECIPE, layout.METRICS))
