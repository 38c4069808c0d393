"""Runs on machines of a cluster: trained there by the local launcher, where they belong, or away from there.

A machine that sees the folder of results trains right there. Elsewhere a run has a temporary folder of its
own, and what changes in it is brought to its place while it trains: `Away` tells it there, `Mirror` writes it
here. Both sides know nothing of what carries it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from mtctl.engine import layout
from mtctl.engine.directory import RunDirectory
from mtctl.engine.files import open_to_append, write_atomically
from mtctl.engine.launch.local import LocalLauncher
from mtctl.engine.result import result_to_json
from mtctl.engine.spec import RunSpec, spec_from_json

_LAST: Final = f"{layout.CHECKPOINTS}/{layout.LAST}.pt"


class Change(NamedTuple):
    """What is new of a file.

    Args:
        name: of the file in the run's directory, with `/`.
        content: that is new; None if the file is gone.
        offset: where it is put, up to which the file is as it was; None if it is the whole file.
    """

    name: str
    content: bytes | None
    offset: int | None = None


class Look(NamedTuple):
    """How a run is, away.

    Args:
        changes: since the last look, in the order in which they can be written.
        result: as JSON; None before its end.
    """

    changes: list[Change]
    result: str | None


class Changes:
    """What changes in a run's directory from one look to the next.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: dict[str, tuple[int, int, int]] = {}

    def take(self) -> list[Change]:
        """Return what is new since the last call."""
        # Checkpoints are read before the records that they cover, which are written first on the other side.
        names = sorted(_own(self._directory), key=_reading)
        found = sorted(
            (change for name in names for change in self._of(name)), key=lambda change: -_reading(change.name)
        )
        gone = [name for name in self._seen if name not in names]
        for name in gone:
            del self._seen[name]
        return [*found, *(Change(name, None) for name in gone)]

    def _of(self, name: str) -> Iterator[Change]:
        seen = self._seen.get(name)
        try:
            with (self._directory / name).open("rb") as file:
                state = os.fstat(file.fileno())
                if seen == (state.st_ino, state.st_mtime_ns, state.st_size):
                    return
                grown = name == layout.METRICS and seen is not None and seen[0] == state.st_ino
                offset = seen[2] if grown and seen is not None and seen[2] <= state.st_size else 0
                file.seek(offset)
                content = file.read()
        except FileNotFoundError:
            return
        self._seen[name] = state.st_ino, state.st_mtime_ns, offset + len(content)
        yield Change(name, content, offset or None)


def _own(directory: Path) -> Iterator[str]:
    """Yield the names of the files that a run has written."""
    for folder in ("", layout.CHECKPOINTS, layout.TENSORBOARD):
        place = directory / folder
        for entry in place.iterdir() if place.is_dir() else ():
            if layout.is_written(entry.name, folder) and not layout.is_temporary(entry.name):
                yield f"{folder}/{entry.name}" if folder else entry.name


def _reading(name: str) -> int:
    """Return the turn in which a file is read: run.json, which says how a run is, is written last."""
    return {layout.RUN: 0, layout.EVALUATION: 1, _LAST: 2}.get(name, 4 if name.endswith(".jsonl") else 3)


class Away:
    """A run on another machine, trained by the local launcher there.

    Args:
        spec: as JSON; its directory is absolute, as it is called where it comes from.
        folder: that it was sent from, which is made the current one if there is one of that name.
    """

    def __init__(self, spec: str, folder: str) -> None:
        found = spec_from_json(spec)
        assert isinstance(found, RunSpec)
        self._spec, self._launcher = found, LocalLauncher(1)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._changes: Changes | None = None
        with suppress(OSError):
            os.chdir(folder)

    def start(self, files: list[Change] | None) -> None:
        """Start the run.

        Args:
            files: what there is of a run to go on with; None if this machine sees the run's directory.
        """
        spec = self._spec
        if files is not None:
            self._temporary = tempfile.TemporaryDirectory(prefix="mtctl-away-", ignore_cleanup_errors=True)
            directory = Path(self._temporary.name) / "run"
            write(directory, files)
            self._changes = Changes(directory)
            self._changes.take()
            spec = replace(spec, directory=directory, force=False, resume=bool(files))
        self._process = self._launcher.submit(spec)
        self._launcher.poll()

    def look(self) -> Look:
        """Return what is new."""
        self._launcher.poll()
        result = self._process.result  # asked first: what changed up to the end is told with it
        changes = [] if self._changes is None else self._changes.take()
        if result is None:
            return Look(changes, None)
        there, here = (json.dumps(str(place))[1:-1] for place in (self._place, self._spec.directory))
        return Look(changes, result_to_json(result).replace(there, here))

    def stop(self) -> None:
        """Pass on that the user asks to stop."""
        self._process.stop()

    def leave(self) -> Look:
        """End what still runs, and return what is new."""
        self._launcher.close()
        found = self.look()
        if self._temporary is not None:
            self._temporary.cleanup()
        return found

    @property
    def _place(self) -> Path:
        return self._process.spec.directory


class Mirror:
    """The directory that a run is for, which this process has locked while the run is trained away from it.

    Args:
        spec: of the run.

    Raises:
        MtctlError: another process trains it.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._place, self._spec = RunDirectory(spec.directory), spec
        self._begun = False
        self._place.acquire()

    def files(self) -> list[Change]:
        """Return what a run goes on from; nothing if it is to begin."""
        if not (self._begun or (self._spec.resume and self._place.used)):
            return []
        self._begun = True
        own = (name for name in _own(self._place.path) if "/" not in name or name == _LAST)
        return [Change(name, (self._place.path / name).read_bytes()) for name in own]

    def apply(self, changes: list[Change]) -> None:
        """Write what is new; of a run that begins, run.json first: until then an earlier one is there."""
        if changes and not self._begun:
            write(self._place.path, [change for change in changes if change.name == layout.RUN])
            self._place.clear()
            self._begun = True
        write(self._place.path, changes)

    def close(self) -> None:
        """Let the directory go."""
        self._place.release()


def write(directory: Path, changes: Iterable[Change]) -> None:
    """Write files as they are elsewhere."""
    (directory / layout.CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    for change in changes:
        path = directory / change.name
        path.parent.mkdir(exist_ok=True)
        content = change.content
        if content is None:
            path.unlink(missing_ok=True)
        elif change.offset is None:
            write_atomically(path, partial(_fill, content))
        else:
            with open_to_append(path) as file:
                file.truncate(change.offset)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


def _fill(content: bytes, file: BinaryIO) -> None:
    file.write(content)
