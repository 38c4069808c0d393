"""Finding and reading run directories."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mtctl.engine import layout
from mtctl.errors import MtctlError
from mtctl.history.documents import NEEDS, check, decode, parse, read_document
from mtctl.history.formats import (
    EpisodeRecord,
    EpochRecord,
    Evaluation,
    EvaluationRecord,
    Record,
    Run,
    RunDocument,
)
from mtctl.reading import read_bytes
from mtctl.recipes import builtin
from mtctl.text import show_text

_DEPTH = 3
"""Folders between a results root and a run, at most: a group of recipes, a recipe, a seed."""
_TRACES = (layout.RECIPE, layout.METRICS)
"""What shows that a directory without run.json was meant to be a run."""
_WHAT_A_RUN_IS = "name the directory of a run, such as results/gradnorm_blind/seed0"
_UNITS = (b'{"kind":"episode"', b'{"kind": "episode"', b'{"kind":"epoch"', b'{"kind": "epoch"')
"""How the line of a unit of training begins; most lines are such."""
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


@dataclass(frozen=True, slots=True)
class Metrics:
    """A run's records in order of time.

    Args:
        records: the complete lines.
        cut_off: says that the last line of an unfinished run was cut off and left out; None if it was not.
    """

    records: tuple[Record, ...]
    cut_off: str | None

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records."""
        return iter(self.records)


def find_runs(paths: Iterable[Path], *, may_be_none: bool = False) -> list[Path]:
    """Return the run directories that are meant: each once, in the order given, seeds counted upwards.

    Args:
        paths: run directories, recipe folders (results/gradnorm_blind) or results roots (results).
        may_be_none: take a folder without runs for one that is still to be filled.

    Raises:
        MtctlError: for a path that does not exist, is a file, or holds no run.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        _require_directory(path)
        runs = list(_runs_below(path, _DEPTH))
        if not runs and not may_be_none:
            raise MtctlError(
                f"{path} is not a run and holds none",
                hint=_WHAT_A_RUN_IS,
            )
        for run in runs:
            found.setdefault(run.resolve(), run)
    return list(found.values())


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
    file, remedy = path / name, f"write it anew: `mtctl eval {path} --checkpoint {checkpoint}`"
    if not _holds(path, name):
        return None
    found = read_document(file, Evaluation, remedy=remedy)
    if found.checkpoint != checkpoint:
        raise MtctlError(f"{file} is of checkpoint {found.checkpoint}, not {checkpoint}", hint=remedy)
    return found


def metrics(path: Path, tasks: Collection[str] | None = None) -> Metrics:
    """Return a run's records.

    A run that was killed may have its last line cut off: that line is left out and named. Anything else that
    is no record is an error.

    Args:
        path: the run directory.
        tasks: the run's; records of others are refused. None: any.

    Raises:
        MtctlError: names file, line and what is wrong there.
    """
    file, remedy = path / layout.METRICS, "restore it from a copy, or train this run again with --force"
    *lines, tail = read_bytes(file, remedy=remedy, needs=NEEDS).split(b"\n")
    records = [_record(line, file, number, remedy) for number, line in enumerate(lines, 1)]
    for number, record in enumerate(records if tasks is not None else (), 1):
        if foreign := next((task for task in _tasks_of(record) if task not in (tasks or ())), None):
            text = f"{file}:{number} is of task `{show_text(foreign)}`, which the run does not have"
            raise MtctlError(text, hint=remedy)
    if tail:
        try:
            records.append(_record(tail, file, len(lines) + 1, remedy))
        except MtctlError:
            if read_run(path).status == "completed":
                raise
            return Metrics(tuple(records), f"{file}:{len(lines) + 1} is cut off and was left out")
    return Metrics(tuple(records), None)


def evaluations_and_lines(path: Path) -> tuple[tuple[EvaluationRecord, ...], list[bytes]]:
    """Return a run's evaluations during training, and the lines of its units of training, not parsed.

    Units are nearly all of a file of megabytes, and a reader may need little of them. A last line that is cut
    off counts for nothing: the run was killed while it wrote.

    Args:
        path: the run directory.

    Raises:
        MtctlError: names file, line and what is wrong there.
    """
    file, remedy = path / layout.METRICS, "restore it from a copy, or train this run again with --force"
    lines = read_bytes(file, remedy=remedy, needs=NEEDS).split(b"\n")[:-1]
    others = [(number, line) for number, line in enumerate(lines) if not line.startswith(_UNITS)]
    records = {number: _record(line, file, number + 1, remedy) for number, line in others}
    evaluations = {
        number: record for number, record in records.items() if isinstance(record, EvaluationRecord)
    }
    units = [line for number, line in enumerate(lines) if number not in evaluations]
    return tuple(evaluations.values()), units


def _record(line: bytes, file: Path, number: int, remedy: str) -> Record:
    # Read and checked in one go: a third of the time. What is refused is read again, to be explained.
    with suppress(ValidationError):
        return _RECORD.validate_json(line)
    place = f"{file}:{number}"
    value = parse(decode(line, place, remedy=remedy), file, remedy=remedy, line=number)
    return check(_RECORD, value, place, remedy=remedy)


def _tasks_of(record: Record) -> Iterator[str]:
    match record:
        case EpisodeRecord():
            yield record.task
        case EpochRecord():
            yield from record.loss
        case EvaluationRecord():
            yield from record.tasks
            return
    if (means := record.signals) is not None:
        for figures in (means.loss, means.weight, means.gradient_norm, means.gradient_share):
            yield from figures
        for figures in means.further.values():
            yield from figures


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
    return "runs are written by `mtctl train RECIPE`, to results/<recipe>/seed<number> unless told otherwise"
