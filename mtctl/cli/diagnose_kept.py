"""Diagnoses that are kept in files, so that nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtctl.cli.diagnose_cure import require_places, write_cure
from mtctl.cli.diagnose_next import apply_command, explanations
from mtctl.errors import MtctlError
from mtctl.terminal.console import err, json_text

if TYPE_CHECKING:
    from mtctl.diagnosis.report import Diagnosis
    from mtctl.problems.recipe import Recipe

_HEAD: Final = 4096
"""Bytes of a file that show whether it is a diagnosis."""


def with_recipe(diagnosis: Diagnosis, recipe: Recipe) -> Diagnosis:
    """Return a diagnosis that holds the recipe that was diagnosed, with its own length."""
    from mtctl.recipes.loading import dump

    return replace(diagnosis, recipe=dump(recipe))


def recipe_of(diagnosis: Diagnosis, path: Path) -> Recipe:
    """Return the recipe that a kept diagnosis is of.

    Raises:
        MtctlError: it holds none, or one that this version of mtctl does not read.
    """
    from mtctl.recipes.loading import loads

    if diagnosis.recipe is None:
        raise MtctlError(
            f"{path} holds no recipe: a run or curves were diagnosed, or an earlier mtctl wrote it",
            hint="diagnose the recipe: `mtctl diagnose RECIPE --write-recipe fixed.yaml`",
        )
    return loads(diagnosis.recipe, name=f"{path}, its recipe")


def show_kept(path: Path, write_recipe: Path | None, show: Callable[..., None], *, force: bool) -> Diagnosis:
    """Show a diagnosis that was kept, and write its cure where that is asked for."""
    from mtctl.diagnosis.stored import read_diagnosis

    diagnosis = read_diagnosis(path)
    recipe = None if write_recipe is None else recipe_of(diagnosis, path)
    require_places(write_recipe, None, proof=True, force=force)
    show(diagnosis, explanations(diagnosis), apply_command(diagnosis, write_recipe, path, []))
    if write_recipe is not None and recipe is not None:
        write_cure(write_recipe, recipe, diagnosis)
    return diagnosis


def keep(diagnosis: Diagnosis, place: Path | None, results: Path, *, quiet: bool) -> Path | None:
    """Write a diagnosis where it can be found again; return where, None if it cannot be written.

    What was found is shown all the same.

    Args:
        diagnosis: what was found.
        place: that the user chose; a new file below the results if None.
        results: the folder of results.
        quiet: do not say where it is.
    """
    from mtctl.diagnosis.document import document
    from mtctl.engine import layout
    from mtctl.engine.files import explained, write_numbered, write_output

    text = json_text(document(diagnosis))
    folder = results / layout.DIAGNOSES
    try:
        with explained(folder if place is None else place.parent, "choose another place with --save"):
            if place is None:
                place = write_numbered(folder, diagnosis.subject.name, ".json", text)
            else:
                write_output(place, text)
    except MtctlError as error:
        err().print(f"warning: the diagnosis was not kept: {error.message}", style="yellow", soft_wrap=True)
        return None
    if not quiet:
        err().print(f"kept in {place}", soft_wrap=True)
    return place


def refuse_kept(path: Path) -> None:
    """Say how a kept diagnosis is shown, where it is named like a target."""
    if path.suffix != ".json" or not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if b'"subject"' in head and b'"schema"' in head:
        raise MtctlError(f"{path} is a diagnosis, not loss curves", hint=f"mtctl diagnose --from {path}")
