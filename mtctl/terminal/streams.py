"""stdout and stderr as a process finds them: closed, full, read by nobody, in any encoding.

stdout carries what was asked for: where it cannot be written, that is an error. stderr carries what is said
besides: where it cannot be written, nothing else changes.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mtctl.errors import MtctlError
from mtctl.terminal.console import err

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT: Final = 1
_STDERR: Final = 2
_FILLERS: Final = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""How /dev/null stands in for a closed stdin, stdout and stderr: stdout refuses what is written to it."""

_CLOSED: Final = "it is closed"


class OutputError(MtctlError):
    """stdout cannot be written. No OSError, so that nobody takes it for a fault of the file at hand.

    Args:
        error: what the operating system said.

    Attributes:
        reader_left: whether the other end of the pipe is closed, as by `| head`: nobody is left to be told.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"stdout cannot be written: {_CLOSED if error.errno == errno.EBADF else error.strerror or error}",
            hint="redirect the output, such as > FILE",
        )
        self.reader_left = isinstance(error, BrokenPipeError)


class _Product(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return _write(super().write, self.fileno(), data)
        except OSError as error:
            raise OutputError(error) from error


class _Aside(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return _write(super().write, self.fileno(), data)
        except OSError:
            return memoryview(data).nbytes


def _write(write: Callable[[ReadableBuffer], int | None], number: int, data: ReadableBuffer) -> int:
    """Write, and wait where a terminal that another program has set so would rather return at once."""
    while (written := write(data)) is None:
        select.select([], [number], [])
    return written


def prepare() -> None:
    """Put streams in place that behave as this module says; streams that others have replaced stay theirs."""
    for number, flags in enumerate(_FILLERS):
        # A file that is opened later would take the number, and get what is printed.
        _fill(number, flags)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, _Product(_STDOUT, "w", closefd=False))
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, _Aside(_STDERR, "w", closefd=False))


def _fill(number: int, flags: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, flags)
        os.dup2(opened, number)
        if opened != number:
            os.close(opened)


def _stream(original: object, raw: io.FileIO) -> io.TextIOWrapper:
    """Return a stream like the one that Python made, which writes through `raw`."""
    text = original if isinstance(original, io.TextIOWrapper) else None  # None where it was closed
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=text.encoding if text else "utf-8",
        errors="backslashreplace",  # not every encoding has every character of a table
        line_buffering=raw.fileno() == _STDERR or (text is not None and text.line_buffering),
        write_through=text is not None and text.write_through,
    )


@contextmanager
def dispensable() -> Iterator[None]:
    """Go on where stdout cannot take what is printed here: what it is about is done and saved."""
    try:
        yield
        sys.stdout.flush()
    except OutputError as error:
        discard()
        if not error.reader_left:
            err().print(f"warning: {error.message}", style="yellow", soft_wrap=True)


def settle() -> None:
    """Write what waits to be written to stdout, or give it up: Python would complain when it leaves."""
    try:
        sys.stdout.flush()
    except OutputError:
        discard()


def discard() -> None:
    """Lose what is printed to stdout from here on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    os.close(nowhere)
