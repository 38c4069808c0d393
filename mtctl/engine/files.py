"""Writing files so that a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mtctl.errors import ExitCode, MtctlError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, force it to disk, then rename it over `path`."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
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
                hint="make room, then go on with --resume",
                code=ExitCode.USAGE,
            ) from error
        raise MtctlError(
            f"{error.filename or directory}: cannot be written ({error.strerror or error})",
            hint=hint,
        ) from error
