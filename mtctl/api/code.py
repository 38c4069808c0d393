"""A run's code of the user's own: whether it is still what the run was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtctl.engine.directory import RunDirectory
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.source import file_digest, shown

if TYPE_CHECKING:
    from mtctl.history.formats import Run
    from mtctl.problems.recipe import Recipe

_DIGITS: Final = 12
"""Of a SHA-256 that a person compares."""


def code_change(recipe: Recipe, run: Run) -> str | None:
    """Say that a run's code is no longer what it was trained with; None where it is, or where none is known.

    Args:
        recipe: of the run, with the place where its code is now.
        run: what was trained.
    """
    code = RunDirectory(run.path).told.get("code")
    before = code.get("sha256") if isinstance(code, dict) else None
    if not isinstance(recipe, PythonRecipe) or recipe.file is None or not isinstance(before, str):
        return None
    now = file_digest(Path(recipe.file))
    if now is None or now == before:  # a file that is gone is told when it is imported
        return None
    return (
        f"{run.path}: {shown(recipe.file)} has changed since this run was trained: its SHA-256 was "
        f"{before[:_DIGITS]}… and is {now[:_DIGITS]}…; restore that version, or train again with --force"
    )
