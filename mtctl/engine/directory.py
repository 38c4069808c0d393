"""The run directory while a run is being made: created, locked, described, never overwritten unasked."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from mtctl.engine import layout
from mtctl.engine.files import write_text
from mtctl.errors import MtctlError

_TEMPORARY: Final = re.compile(r"\.(recipe\.yaml|(run|eval)\.json|(last|best|ep\d+)\.pt)(\..+)?\.tmp")
"""What `write_atomically` names the files that it has not finished."""
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.02  # between them: `held` has the lock for an instant, which must not refuse a run


class RunDirectory:
    """One run's directory, held by a lock that ends with this process, however it ends.

    Args:
        path: results/<name>/seed<k>.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / layout.CHECKPOINTS
        self.metrics = path / layout.METRICS
        self._lock: IO[bytes] | None = None

    @property
    def used(self) -> bool:
        """Whether something is there already: more than a process leaves that died as it began a run."""
        return self.path.exists() and not all(map(self._is_nothing, self.path.iterdir()))

    def _is_nothing(self, entry: Path) -> bool:
        if entry.name == layout.LOCK or _TEMPORARY.fullmatch(entry.name):
            return True
        if entry == self.checkpoints and entry.is_dir():
            return not any(entry.iterdir())
        return entry == self.metrics and entry.is_file() and entry.stat().st_size == 0

    def acquire(self) -> None:
        """Create the directory if need be and lock it.

        Raises:
            MtctlError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / layout.LOCK).open("ab")
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            if _try_lock(self._lock):
                break
        else:
            self._lock.close()
            self._lock = None
            raise MtctlError(
                f"{self.path}: another process is training this run",
                hint="wait or stop it; a second run needs another --seed, `-o name=…` or --results-dir",
            )

    def probe(self) -> None:
        """Find out whether a run could start here, and leave no trace.

        Raises:
            MtctlError: another process holds the directory.
            OSError: it cannot be written.
        """
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.acquire()
        self.release()
        if new:
            with suppress(OSError):  # somebody else has begun to use it
                (self.path / layout.LOCK).unlink()
                for folder in new:
                    folder.rmdir()

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def refuse_foreign(self) -> None:
        """Refuse a directory that holds something else than a run, and so may not be replaced."""
        # The metrics file is the first that a run writes.
        if self.used and not any((self.path / name).exists() for name in (layout.RUN, layout.METRICS)):
            raise MtctlError(
                f"{self.path}: holds files that are not a run; --force replaces runs only",
                hint="move them away, or use another --results-dir",
            )

    def clear(self) -> None:
        """Remove what an earlier run has left. Refuses directories that are not runs."""
        self.refuse_foreign()
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != layout.LOCK:
                entry.unlink()

    def prepare(self, recipe_text: str, command: str) -> None:
        """Write the resolved recipe, with the exact command on top; needs the lock.

        Temporary files of a process that was killed as it wrote are removed: whoever holds the lock is alone.
        """
        self.checkpoints.mkdir(exist_ok=True)
        for entry in [*self.path.iterdir(), *self.checkpoints.iterdir()]:
            if _TEMPORARY.fullmatch(entry.name):
                entry.unlink(missing_ok=True)
        write_text(self.path / layout.RECIPE, f"# {command}\n{recipe_text}")

    def checkpoint(self, name: str) -> Path:
        """Return the path of a checkpoint by its name: last, best, ep0100."""
        return self.checkpoints / f"{name}.pt"

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Write run.json or eval.json."""
        write_text(
            self.path / name, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )


def held(path: Path) -> bool:
    """Say whether a process is training the run in this directory; its lock ends with it, however it ends.

    Raises:
        OSError: the lock cannot be read.
    """
    try:
        with (path / layout.LOCK).open("rb") as file:
            return not _try_share(file)
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    _try_share = _try_lock  # there are no locks that several share
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        return _try(file, fcntl.LOCK_EX)

    def _try_share(file: IO[bytes]) -> bool:
        return _try(file, fcntl.LOCK_SH)

    def _try(file: IO[bytes], kind: int) -> bool:
        try:
            fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
