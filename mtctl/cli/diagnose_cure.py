"""The remedy that won, as a recipe that trains as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtctl.errors import ExitCode, MtctlError
from mtctl.terminal.console import err
from mtctl.text import command_line, show_text

if TYPE_CHECKING:
    from mtctl.diagnosis.report import Diagnosis, Trial
    from mtctl.problems.recipe import Recipe

_ELSEWHERE: Final = "choose another place for --write-recipe"
_CELLS: Final = 100
"""Width of the comment at the head."""


def require_places(path: Path | None, save: Path | None, *, proof: bool, force: bool) -> None:
    """Refuse, before anything is trained, to write what could not be written afterwards."""
    if save is not None:
        _require_place(save, "--save", (".json",), force=force, what="diagnoses")
    if path is None:
        if force and save is None:
            raise MtctlError("--force lets --write-recipe and --save overwrite a file; it needs one of them")
        return
    if not proof:
        raise MtctlError(
            "--write-recipe writes the remedy that was measured to help, but --no-verify measures none"
        )
    _require_place(path, "--write-recipe", (".yaml", ".yml"), force=force)


def _require_place(
    path: Path, flag: str, endings: tuple[str, ...], *, force: bool, what: str = "recipes"
) -> None:
    """Refuse a place that a file cannot be written to, before anything is trained.

    Args:
        path: the place.
        flag: that named it.
        endings: that the file's name may have, the usual one first.
        force: whether a file that is there is overwritten.
        what: has these endings.
    """
    from mtctl.engine.files import is_stream

    if is_stream(path):
        return
    if path.is_dir():
        raise MtctlError(
            f"{flag} {path}: it is a directory", hint=f"name a file: {path / f'fixed{endings[0]}'}"
        )
    if path.suffix not in endings:
        raise MtctlError(f"{flag} {path}: {what} end in {endings[0]}", hint=f"{path.with_suffix(endings[0])}")
    if path.exists() and not force:
        raise MtctlError(f"{flag} {path}: it exists", hint="--force overwrites it")
    if not path.parent.is_dir():
        raise MtctlError(f"{flag} {path}: there is no folder {path.parent}", hint="make it first")
    if not os.access(path.parent, os.W_OK):
        raise MtctlError(
            f"{flag} {path}: {path.parent} is not writable", hint=f"choose another place for {flag}"
        )


def write_cure(path: Path, recipe: Recipe, diagnosis: Diagnosis) -> None:
    """Write the recipe with its best remedy, and what was measured in the comment at its head; say so.

    Args:
        path: the new file.
        recipe: what was diagnosed, with its own number of epochs or episodes.
        diagnosis: what was measured.

    Raises:
        MtctlError: no remedy helped, or the file cannot be written.
    """
    from mtctl.api.cure import cured_recipe
    from mtctl.engine.files import explained, write_output
    from mtctl.recipes.loading import dump

    best = diagnosis.winner
    if best is None:
        raise _nothing_to_write(path, diagnosis)
    cured = cured_recipe(recipe, best.remedy)
    head = "".join(
        f"# {show_text(line)}".rstrip() + "\n" for line in _head(path, recipe, cured.name, diagnosis, best)
    )
    with explained(path.parent, _ELSEWHERE):
        write_output(path, f"{head}\n{dump(cured)}")
    err().print(f"wrote {path}", soft_wrap=True)


def _nothing_to_write(path: Path, diagnosis: Diagnosis) -> MtctlError:
    tried = len(diagnosis.trials)
    if tried:
        reason = f"none of the {tried} remedies tried is proven to help"
        hint: str | None = "more epochs or more seeds may prove one"
    elif diagnosis.stuck is not None:
        reason, hint = (
            f"no remedy was tried for {diagnosis.stuck}",
            "the screen says why, under `Not checked`",
        )
    else:
        reason, hint = "no task is stuck, so no remedy was tried", None
    return MtctlError(f"{path} was not written: {reason}", hint=hint, code=ExitCode.FAILED)


def _head(path: Path, recipe: Recipe, name: str, diagnosis: Diagnosis, best: Trial) -> Iterator[str]:
    from mtctl.screens.tables import fold

    file = command_line([str(path)])
    yield f"{recipe.name} with a remedy for {diagnosis.stuck}: {best.remedy.title}."
    for sentence in _measured(diagnosis, best):
        yield from fold(sentence, _CELLS).split("\n")
    yield ""
    yield "Train it, score it, and compare it with the unchanged recipe:"
    yield f"  mtctl train {file}"
    yield f"  mtctl eval results/{name}"
    yield f"  mtctl compare results/{recipe.name} results/{name}"


def _measured(diagnosis: Diagnosis, best: Trial) -> Iterator[str]:
    from mtctl.screens.diagnose_tables import as_is_loss, bounds, decimals, period, scored, share, worst_hit
    from mtctl.screens.figures import number

    seeds, as_is = diagnosis.subject.seeds, as_is_loss(diagnosis)
    if best.loss is not None and best.improvement is not None and as_is is not None:
        digits = decimals(as_is)
        yield (
            f"Measured by `mtctl diagnose` over {period(diagnosis)}, {len(seeds)} seeds: {scored(diagnosis)} "
            f"{number(as_is, digits)} unchanged, {number(best.loss.mean, digits)} with the remedy; better by "
            f"{number(best.improvement.mean, digits)} {bounds(best.improvement.interval, digits)}."
        )
    if best.skill is not None:
        yield f"Skill {share(best.skill.mean)}; worst-hit other task, in points of skill: {worst_hit(best)}."
    if best.remedy.changes_model:
        yield "The model differs: checkpoints of the unchanged recipe do not fit."
