"""Bytes of files that somebody else wrote: from a file or a pipe that ends, and never more than fits.

A name can stand for anything: a folder, a device that never ends, a pipe that nobody writes to, a file of a
terabyte of nothing. Whoever reads a file whose name was given asks here.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Final

from mtctl import machine
from mtctl.errors import MtctlError
from mtctl.machine import size

LARGEST: Final = 1_000_000_000
"""Bytes of a file that is read as a whole: the records of some hundred thousand episodes."""
_AT_ONCE: Final = 1 << 20
memory = cache(machine.memory)
"""Asked once: the answer takes as long as a small file."""


def read_bytes(
    path: Path, *, remedy: str | None, largest: int = LARGEST, needs: float = 2.0, pipes: bool = False
) -> bytes:
    """Return a file's content.

    Args:
        path: the file; links are followed.
        remedy: what the user can do if it is unusable.
        largest: bytes that it may have.
        needs: bytes of memory that working on one of its bytes takes.
        pipes: whether it may be a pipe or a terminal: it is read to its end, or until it is too large.

    Raises:
        MtctlError: it cannot be read, is no file, or is too large for what it should be or for this machine.
    """
    with open_file(path, remedy=remedy, pipes=pipes) as file:
        try:
            announced = os.fstat(file.fileno()).st_size
            require_room(path, announced, largest=largest, needs=needs, remedy=remedy)
            parts, length = [], 0
            # What is no regular file does not know its size; what is one is read in one go.
            while part := file.read(max(_AT_ONCE, announced - length)):
                parts.append(part)
                length += len(part)
                require_room(path, length, largest=largest, needs=needs, remedy=remedy, at_least=True)
        except OSError as error:
            raise _unreadable(path, error, remedy) from error
    return b"".join(parts)


def open_file(path: Path, *, remedy: str | None, pipes: bool = False) -> BufferedReader:
    """Open a file to read it, without waiting for anybody, except for the writer of a pipe where they may be.

    Raises:
        MtctlError: it cannot be read, or is neither a file nor a pipe that is allowed.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind == stat.S_IFREG:
            # Not to wait: between the look and the opening a pipe can take the file's place.
            file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY), "rb")
        elif pipes and _can_end(path, kind):
            return path.open("rb")
        elif kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        else:
            raise MtctlError(f"{path} cannot be read: it is {_NAMES.get(kind, 'not a file')}", hint=remedy)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error, remedy) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise MtctlError(f"{path} cannot be read: it is no longer a file", hint=remedy)
    return file


def require_room(
    path: Path, length: int, *, largest: int, needs: float, remedy: str | None, at_least: bool = False
) -> None:
    """Refuse a file that is too large for what it should be, or for the memory of this machine.

    Args:
        path: the file.
        length: its bytes.
        largest: bytes that it may have.
        needs: bytes of memory that one of them takes.
        remedy: what the user can do.
        at_least: whether it can have more bytes than `length`.
    """
    there, more = memory(), "more than " if at_least else ""
    if length > largest:
        raise MtctlError(
            f"{path} is too large: {more}{size(length)}; at most {size(largest)} are read", hint=remedy
        )
    if there is not None and length * needs > there:
        raise MtctlError(
            f"{path} is too large: {more}{size(length)}, which take about {size(length * needs)} of memory; "
            f"this machine has {size(there)}",
            hint=remedy,
        )


def _can_end(path: Path, kind: int) -> bool:
    """Say whether something that is no file is worth waiting for: a pipe, or a terminal."""
    if kind == stat.S_IFCHR:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
        try:
            return os.isatty(descriptor)
        finally:
            os.close(descriptor)
    return kind == stat.S_IFIFO


def _unreadable(path: Path, error: Exception, remedy: str | None) -> MtctlError:
    return MtctlError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}", hint=remedy)


_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_NAMES: Final = {
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}
