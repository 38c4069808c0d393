"""Recipes that name code of the user's: it runs where that is said, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from mtctl.errors import MtctlError
from mtctl.terminal.console import err
from mtctl.text import show_text

if TYPE_CHECKING:
    from mtctl.history.formats import Run
    from mtctl.problems.recipe import Recipe


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
    from mtctl.api.code import code_change
    from mtctl.engine import layout
    from mtctl.recipes.loading import load
    from mtctl.screens.compare import remark

    told = set()
    for run in runs:
        if run.problem != "python":
            continue
        with suppress(MtctlError):  # which the evaluation tells
            recipe = load(run.path / layout.RECIPE, overrides)
            if recipe.data_path not in told:
                say_running(recipe)
            told.add(recipe.data_path)
            if (change := code_change(recipe, run)) is not None:
                err().print(remark("warning", "bold yellow", change), soft_wrap=True)
