"""Finding and reading run directories."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from mtctl.engine import layout
from mtctl.errors import MtctlError
from mtctl.history.documents import read_document
from mtctl.history.formats import Evaluation, Run, RunDocument
from mtctl.recipes import builtin

_DEPTH = 3
"""Folders between a results root and a run, at most: a group of recipes, a recipe, a seed."""
_TRACES = (layout.RECIPE, layout.METRICS)
"""What shows that a directory without run.json was meant to be a run."""
_WHAT_A_RUN_IS = "name the directory of a run, such as results/gradnorm_blind/seed0"


def find_runs(paths: Iterable[Path], *, may_be_none: bool = False) -> list[Path]:
    """Return the run directories that are meant: each once, in the order given, seeds counted upwards.

    Args:
        paths: run directories, recipe folders (results/gradnorm_blind) or results roots (results). Kept
            diagnoses, which `results/*` names too, are passed over.
        may_be_none: take a folder without runs for one that is still to be filled.

    Raises:
        MtctlError: for a path that does not exist, is a file, or holds no run.
    """
    by_place: dict[Path, Path] = {}
    given = list(paths)
    for path in given:
        _require_directory(path)
        runs = list(_runs_below(path, _DEPTH))
        kept = path.name == layout.DIAGNOSES and len(given) > 1
        if not runs and not may_be_none and not kept:
            raise MtctlError(
                f"{path} is not a run and holds none",
                hint=_WHAT_A_RUN_IS,
            )
        for run in runs:
            by_place.setdefault(run.resolve(), run)
    return list(by_place.values())


def read_run(path: Path) -> Run:
    """Return what run.json says about a run.

    Args:
        path: the run directory.

    Raises:
        MtctlError: if there is no run, or its run.json is missing, cut off, corrupt or of another version.
    """
    _require_directory(path)
    remedy = "restore it from a copy, or train this run again with --force"
    if not _holds(path, layout.RUN):
        if not _holds(path, *_TRACES):
            raise MtctlError(f"{path} is not a run: it has no {layout.RUN}", hint=_WHAT_A_RUN_IS)
        raise MtctlError(f"{path} is an incomplete run: it has no {layout.RUN}", hint=remedy)
    document = read_document(path / layout.RUN, RunDocument, remedy=remedy)
    return Run.model_construct(path=path, **dict(document))


def evaluation(path: Path, checkpoint: str = layout.LAST) -> Evaluation | None:
    """Return a run's evaluation on the held-out seeds, or None if there is none.

    Args:
        path: the run directory.
        checkpoint: whose evaluation: `last` (the final policy), `best`, `ep0100` …

    Raises:
        MtctlError: if the file is cut off, corrupt, of another version, or of another checkpoint.
    """
    name = layout.EVALUATION if checkpoint == layout.LAST else f"eval-{checkpoint}.json"
    file, remedy = path / name, f"write it again: `mtctl eval {path} --checkpoint {checkpoint}`"
    if not _holds(path, name):
        return None
    document = read_document(file, Evaluation, remedy=remedy)
    if document.checkpoint != checkpoint:
        raise MtctlError(f"{file} is of checkpoint {document.checkpoint}, not {checkpoint}", hint=remedy)
    return document


def _runs_below(path: Path, depth: int) -> Iterator[Path]:
    if _holds(path, layout.RUN, *_TRACES):
        yield path
    elif depth:
        with _explained(path):
            folders = [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        for folder in sorted(folders, key=_natural):
            yield from _runs_below(folder, depth - 1)


def _holds(path: Path, *names: str) -> bool:
    with _explained(path):
        return any((path / name).exists() for name in names)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the path where the file system refuses it: no permission, a name too long."""
    try:
        yield
    except OSError as error:
        raise MtctlError(f"{path} cannot be read: {error.strerror or error}", hint=_WHAT_A_RUN_IS) from error


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order seed2 before seed10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _require_directory(path: Path) -> None:
    with _explained(path):
        exists, is_directory = path.exists(), path.is_dir()
    if not exists:
        raise MtctlError(f"{path} does not exist", hint=_where_instead(path))
    if not is_directory:
        inside = path.parent.parent if path.parent.name == layout.CHECKPOINTS else path.parent
        what = "a checkpoint" if path.suffix == ".pt" else "a file"
        raise MtctlError(f"{path} is {what}, not a run", hint=f"name the run's directory: {inside}")


def _where_instead(path: Path) -> str:
    folders = {name.replace("/", "_"): name for name in builtin.names()}
    for part in reversed(path.parts):
        if part in folders:
            return f"{part} is a built-in recipe; train it first: `mtctl train {folders[part]}`"
    folder = path.parent
    while not folder.is_dir():
        path, folder = folder, folder.parent
    siblings = {entry.name for entry in folder.iterdir() if entry.is_dir()}
    if close := get_close_matches(path.name, siblings, n=1):
        return f"did you mean {folder / close[0]}?"
    return "runs are written by `mtctl train RECIPE`, to results/<recipe>/seed<number> by default"
