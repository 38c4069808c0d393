"""The lock of a run directory: one process trains a run, and others can tell whether one does.

The operating system ends a lock with its process, however that ends. The file names the last process that
trained: "pid host".
"""

from __future__ import annotations

import os
import platform
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

from mtctl.engine.files import open_to_append
from mtctl.engine.layout import LOCK
from mtctl.errors import MtctlError

_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 0.05
"""Between attempts: who looks at a lock, or stores an evaluation, has it for an instant, which must not
refuse a run."""
READING: Final[int] = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Who only looks is neither led elsewhere nor made to wait."""
_LONGEST: Final = 300
"""Bytes of the file that are read: a number and a host's name."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who trains a run.

    Args:
        state: `unknown` where the file system locks no files, or another computer's process may have it.
        pid: of the process, where it is known.
        host: the name of its computer.
    """

    state: Literal["held", "free", "unknown"]
    pid: int | None = None
    host: str | None = None

    def __str__(self) -> str:
        """Return the process in words."""
        where = f" on {self.host}" if self.host not in (None, platform.node()) else ""
        return "another process" if self.pid is None else f"process {self.pid}{where}"


def holder(path: Path) -> Holder:
    """Return which process trains the run in this directory.

    Args:
        path: the run directory.
    """
    try:
        with os.fdopen(os.open(path / LOCK, os.O_RDONLY | READING), "rb") as file:
            taken = not try_share(file)
            pid, host = _signature(file)
    except FileNotFoundError:
        return Holder("free")
    except OSError:  # no permission, no locks, or a link
        return Holder("unknown")
    if taken:
        return Holder("held", pid, host)
    # Locks of some network file systems are seen on their own computer only.
    return Holder("free" if host in (None, platform.node()) else "unknown", pid, host)


class Taken(MtctlError):  # noqa: N818 - named after what happened
    """Another process has the lock."""


class Lock:
    """The lock of one directory.

    Args:
        path: the directory; made when the lock is taken.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self, *, sign: bool) -> None:
        """Take the lock.

        Args:
            sign: write into it who has it.

        Raises:
            Taken: another process has it.
            MtctlError: the file system locks no files.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            if self._take():
                break
        else:
            found = holder(self._path)
            who = "" if found.pid is None else f" ({found})"
            raise Taken(
                f"{self._path}: another process is training this run{who}",
                hint="wait or stop it; a second run needs another --seed, `-o name=…` or --results-dir",
            )
        if sign and self._file is not None:
            self._file.truncate(0)
            self._file.write(f"{os.getpid()} {platform.node()}\n".encode())
            self._file.flush()

    def release(self) -> None:
        """Let it go, if it was taken."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self) -> bool:
        self._path.mkdir(parents=True, exist_ok=True)
        if (self._path / LOCK).is_symlink():
            raise MtctlError(
                f"{self._path / LOCK} is a link, and runs do not write through links", hint="remove it"
            )
        file = open_to_append(self._path / LOCK)
        try:
            taken = try_lock(file) and self._is_there(file)
        except OSError as error:
            file.close()
            raise MtctlError(
                f"{self._path}: its file system does not lock files ({error.strerror or error}), so that two "
                "processes could train one run",
                hint="choose another place with --results-dir",
            ) from error
        if not taken:
            file.close()
            return False
        self._file = file
        return True

    def _is_there(self, file: IO[bytes]) -> bool:
        """Say whether the directory's lock is still this file: its last holder may have removed it."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file.fileno()), (self._path / LOCK).stat())
        return False


def _signature(file: IO[bytes]) -> tuple[int | None, str | None]:
    pid, _, host = file.read(_LONGEST).decode(errors="replace").strip().partition(" ")
    return (int(pid), host) if pid.isdecimal() and host else (None, None)


if sys.platform == "win32":
    import msvcrt

    _PLACE: Final = 1_000_000  # beyond the text: what is locked cannot be read

    def try_lock(file: IO[bytes]) -> bool:
        """Take a file's lock; False where another process has it."""
        file.seek(_PLACE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(0)
        return True

    try_share = try_lock  # there are no locks that several share
else:
    import fcntl

    def try_lock(file: IO[bytes]) -> bool:
        """Take a file's lock; False where another process has it."""
        return _try(file, fcntl.LOCK_EX)

    def try_share(file: IO[bytes]) -> bool:
        """Say whether nobody has a file's lock: readers may share it."""
        return _try(file, fcntl.LOCK_SH)

    def _try(file: IO[bytes], kind: int) -> bool:
        try:
            fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
