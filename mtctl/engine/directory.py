"""The run directory while a run is being made: created, described, never overwritten unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from mtctl.engine import layout
from mtctl.engine.files import write_text
from mtctl.engine.lock import Lock
from mtctl.errors import MtctlError
from mtctl.text import show_text

_DESCRIPTIONS: Final = (layout.RUN, layout.RECIPE)
_NAMED: Final = 3
"""Files that a message names."""


class RunDirectory:
    """One run's directory, held by a lock that ends with this process, however it ends.

    Args:
        path: results/<name>/seed<k>.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / layout.CHECKPOINTS
        self.metrics = path / layout.METRICS
        self._lock = Lock(path)

    @property
    def used(self) -> bool:
        """Whether something other than a lock and a place for checkpoints is there already."""
        return bool(self._entries())

    @property
    def told(self) -> dict[str, Any]:
        """What run.json says; nothing where it is missing or unreadable."""
        try:
            found = json.loads((self.path / layout.RUN).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def acquire(self, *, training: bool = True) -> None:
        """Create the directory if need be and lock it.

        Args:
            training: whether others are told which process has it.

        Raises:
            MtctlError: another process holds it, or the file system locks no files.
        """
        self._lock.acquire(sign=training)

    def probe(self) -> None:
        """Find out whether a run could start here, and leave no trace.

        Raises:
            MtctlError: another process holds the directory.
            OSError: it cannot be written.
        """
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        fresh = not (self.path / layout.LOCK).exists()
        self.acquire(training=False)
        try:
            if fresh:
                with suppress(OSError):  # somebody else has begun to use it; or Windows, where it stays open
                    (self.path / layout.LOCK).unlink()
                    for folder in new:
                        folder.rmdir()
        finally:
            self.release()

    def release(self) -> None:
        self._lock.release()

    def refuse_foreign(self) -> None:
        """Refuse a directory that holds something else than a run, and so may not be written into."""
        # run.json is the first file that a run writes; earlier versions began with its metrics.
        traces = (self.path / layout.RUN, self.metrics, self.checkpoint(layout.LAST))
        if self.used and not any(trace.exists() for trace in traces):
            raise MtctlError(
                f"{self.path}: holds files that are not a run: {_listed(self._entries())}",
                hint="move them away, or train elsewhere: `-o name=NEW`, another --seed or --results-dir",
            )

    def refuse_broken_link(self) -> None:
        """Refuse a folder of checkpoints that is linked to a place that is not there."""
        if self.checkpoints.is_symlink() and not self.checkpoints.exists():
            raise MtctlError(
                f"{self.checkpoints}: links to {self.checkpoints.readlink()}, which does not exist",
                hint="mount its disk, or remove the link",
            )

    def clear(self) -> list[str]:
        """Remove what an earlier run has left beside run.json and recipe.yaml; return what else is there.

        Only files that a run writes are removed, by name; links are never followed: a folder of checkpoints
        on another disk is emptied and stays linked, any other link is removed itself.
        """
        for folder in (*self._folders, ""):
            for file in self._own(folder):
                if file.name not in _DESCRIPTIONS:
                    file.unlink()
        return [name for name in self._entries() if name not in _DESCRIPTIONS]

    def _entries(self) -> list[str]:
        """Return the names of what is there, but for the lock and a run's folders themselves."""
        folders = self._folders
        entries = [each for each in _found(self.path) if each.name not in (layout.LOCK, *folders)]
        names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]
        return names + [f"{folder}/{each.name}" for folder in folders for each in _found(self.path / folder)]

    @property
    def _folders(self) -> list[str]:
        """The names of a run's own folders."""
        events = self.path / layout.TENSORBOARD
        own = events.is_dir() and not events.is_symlink()
        return [layout.CHECKPOINTS, *([layout.TENSORBOARD] if own else [])]

    def _own(self, folder: str) -> Iterator[Path]:
        # The policy to resume from goes first: without it nothing is taken for a run that can go on.
        found = [entry for entry in _inside(self.path / folder) if _is_own(entry, folder)]
        yield from sorted(found, key=lambda entry: entry.stem != layout.LAST)

    def prepare(self, recipe_text: str, command: str, *, checkpoints: bool = True) -> None:
        """Write the resolved recipe, with the exact command on top; needs the lock.

        Temporary files of a process that was killed as it wrote are removed: whoever holds the lock is alone.
        """
        if checkpoints:
            self.checkpoints.mkdir(exist_ok=True)
        for entry in [*self.path.iterdir(), *_inside(self.checkpoints)]:
            if layout.is_temporary(entry.name):
                entry.unlink(missing_ok=True)
        write_text(self.path / layout.RECIPE, f"# {show_text(command)}\n{recipe_text}")

    def checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint by its name: last, best, ep0100."""
        return self.checkpoints / f"{name}.pt"

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Write run.json or eval.json."""
        write_text(
            self.path / name, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _found(folder: Path) -> list[Path]:
    """Return what is in a folder, but for what processes left that were killed as they wrote."""
    return [entry for entry in _inside(folder) if not layout.is_temporary(entry.name)]


def _is_own(entry: Path, folder: str) -> bool:
    is_file = entry.is_symlink() or not entry.is_dir()
    return is_file and layout.is_written(entry.name, folder)


def _listed(names: list[str]) -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
