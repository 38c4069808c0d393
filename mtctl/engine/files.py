"""Writing files so that a reader sees the old content or the new one, never a part, and nobody's else.

A name that is a link is replaced, and what it points to stays as it is: a run's folder is mtctl's to change,
and files elsewhere are not. Devices, pipes and `/dev/stdout` are written to, where a user names them.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from mtctl.errors import ExitCode, MtctlError

_LONGEST: Final = 200
"""Bytes of a name that its temporary file's name begins with; names may have 255."""
_MOST_LINKS: Final = 40
"""Linux's own limit."""
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/(?:self|thread-self|\d+))/fd/(\d{1,9})")
_STREAMS: Final = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_NO_LINKS: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_FLAGS: Final[int] = _NO_LINKS | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, force it to disk, then rename it over `path`.

    The temporary file is a new one of a name that nobody can guess, so that no link that waits there is
    followed; it is gone if anything fails.
    """
    temporary = path.with_name(f".{_beginning(path.name)}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically."""
    # Names may hold bytes that are no UTF-8; they are kept spelled out, which JSON reads as what they were.
    write_atomically(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def write_output(path: Path, text: str) -> None:
    """Write text where a user asked for it: into a new file in place of `path`, or to the stream it names."""
    if not is_stream(path):
        write_text(path, text)
        return
    with _opened_stream(path) as file:
        file.write(text.encode())


def write_numbered(folder: Path, name: str, suffix: str, text: str) -> Path:
    """Write text into a new file `<name>-<n><suffix>`, n after the highest that is there, and return it.

    The file appears as a whole, and one that another process makes at the same time is left alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(rf"{re.escape(name)}-([1-9]\d{{0,8}}){re.escape(suffix)}")
    taken = (pattern.fullmatch(entry.name) for entry in folder.iterdir())
    number = 1 + max((int(match[1]) for match in taken if match), default=0)
    temporary = folder / f".{_beginning(name)}.{secrets.token_hex(8)}.tmp"
    write_text(temporary, text)
    try:
        for path in (folder / f"{name}-{each}{suffix}" for each in count(number)):
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                continue
            except OSError:  # a file system without hard links
                if path.exists():
                    continue
                temporary.rename(path)
            return path
    finally:
        temporary.unlink(missing_ok=True)
    raise AssertionError("numbers do not end")


def is_stream(path: Path) -> bool:
    """Say whether a name stands for what is written to and never replaced: a device, a pipe, /dev/stdout.

    Raises:
        OSError: it cannot be looked at.
    """
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def open_to_append(path: Path) -> BinaryIO:
    """Open a file to write at its end, and make it if there is none.

    A file with a second name (a copy by hard links) becomes one of its own first, so that the other stays.

    Raises:
        MtctlError: it is a link or no file: its end is somebody else's.
        OSError: it cannot be opened.
    """
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            what = "a link" if stat.S_ISLNK(found.st_mode) else "not a file"
            raise MtctlError(
                f"{path} is {what}; mtctl writes only into its own files",
                hint="put the file itself there, or train again with --force, which keeps the link's target",
            )
        if found.st_nlink > 1:
            content = path.read_bytes()
            write_atomically(path, lambda file: file.write(content))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FLAGS, 0o666), "ab")


def _beginning(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_LONGEST])


def _descriptor(path: Path) -> int | None:
    """Return the open file descriptor of this process that a name such as /dev/stdout stands for."""
    for _ in range(_MOST_LINKS):
        place = os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow the last link
        if place in _STREAMS:
            return _STREAMS[place]
        if match := _DESCRIPTOR.fullmatch(place):
            return int(match[1])
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return None


def _opened_stream(path: Path) -> BinaryIO:
    """Open what is written to; a descriptor of our own is shared, so that what was printed before stays."""
    descriptor = _descriptor(path)
    if descriptor is None:
        return path.open("wb")
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    return os.fdopen(os.dup(descriptor), "wb")


@contextmanager
def explained(directory: Path, hint: str = "choose another place with --results-dir") -> Iterator[None]:
    """Turn what an operating system says about a full disk or a forbidden directory into a clear error.

    Args:
        directory: what was written to.
        hint: what to do where it cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # about our output, not about files
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise MtctlError(
                f"{directory}: no space left on the device; what was saved before is intact",
                hint="free some space, then continue with --resume",
                code=ExitCode.USAGE,
            ) from error
        raise MtctlError(
            f"{error.filename or directory}: cannot be written ({error.strerror or error})",
            hint=hint,
        ) from error
