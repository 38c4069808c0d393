"""Recipes that name code of the user's: it runs where that is said, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtctl.errors import MtctlError
from mtctl.terminal.console import err
from mtctl.text import show_text

if TYPE_CHECKING:
    from mtctl.history.formats import Run
    from mtctl.problems.recipe import Recipe

_DIGITS: Final = 12
"""Of a SHA-256 that a person compares."""


def completed(recipe: Recipe) -> Recipe:
    """Return the recipe with the tasks that its code names; say which code is run.

    Raises:
        MtctlError: the code fails.
    """
    from mtctl.problems.kinds import complete

    say_running(recipe)
    return complete(recipe)


def say_running(recipe: Recipe) -> None:
    """Say on stderr which code of the user's is run, if any is."""
    from mtctl.problems.python.recipe import PythonRecipe
    from mtctl.problems.python.source import shown

    if isinstance(recipe, PythonRecipe):
        err().print(f"running {show_text(shown(recipe.problem.build))}", markup=False, soft_wrap=True)


def say_running_of(runs: Sequence[Run], overrides: Sequence[str]) -> None:
    """Say which code is run to evaluate runs, and where it is no longer what they were trained with.

    Args:
        runs: to evaluate.
        overrides: where the code is now, if it has moved.
    """
    from mtctl.engine import layout
    from mtctl.recipes.loading import load

    told = set()
    for run in runs:
        if run.problem != "python":
            continue
        with suppress(MtctlError):  # which the evaluation tells
            recipe = load(run.path / layout.RECIPE, overrides)
            if recipe.data_path not in told:
                say_running(recipe)
            told.add(recipe.data_path)
            _warn_of_change(recipe, run)


def _warn_of_change(recipe: Recipe, run: Run) -> None:
    """Warn where a run's code is no longer what it was trained with."""
    from mtctl.engine.directory import RunDirectory
    from mtctl.problems.python.recipe import PythonRecipe
    from mtctl.problems.python.source import file_digest, shown
    from mtctl.screens.compare import remark

    code = RunDirectory(run.path).told.get("code")
    before = code.get("sha256") if isinstance(code, dict) else None
    if not isinstance(recipe, PythonRecipe) or recipe.file is None or not isinstance(before, str):
        return
    now = file_digest(Path(recipe.file))
    if now is None or now == before:  # a file that is gone is told when it is imported
        return
    text = (
        f"{run.path}: {shown(recipe.file)} has changed since this run was trained: its SHA-256 was "
        f"{before[:_DIGITS]}… and is {now[:_DIGITS]}…; restore that version, or train again with --force"
    )
    err().print(remark("warning", "bold yellow", text), soft_wrap=True)
