"""Faults that are no mistake of mtctl's: what the operating system, the memory or an encoding refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from mtctl import __version__
from mtctl.errors import ExitCode, MtctlError

_HINTS: Final = {
    errno.EMFILE: "this process may not open more files: raise the limit with `ulimit -n 1024`",
    errno.ENFILE: "too many files are open on this machine: close some programs",
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.ENOMEM: "close other programs, or train or read something smaller",
    errno.EAGAIN: "too many processes are running: end some, or use fewer --jobs",
}
_NO_TEMPORARY_FOLDER: Final = "No usable temporary directory"
_NO_MEMORY: Final = ("can't allocate memory", "out of memory")  # torch's words on a CPU and on others
_NO_THREAD: Final = "can't start new thread"
_NUL: Final = "embedded null"


def explain(error: BaseException) -> MtctlError | None:
    """Return what a user can be told about an ordinary fault, or None where it is a mistake in mtctl."""
    text = str(error)
    match error:
        case OSError():
            return _of_the_system(error)
        case UnicodeError():
            return MtctlError(f"a text cannot be read or written: {text}", hint="save it as UTF-8")
        case RecursionError():
            return MtctlError("something is nested too deeply: a recipe, a file of results or a key")
        case ImportError() if not (error.name or "").startswith("mtctl"):
            return MtctlError(f"a package cannot be loaded: {text}", hint="reinstall mtctl with pip")
        case ValueError() if _NUL in text:
            return MtctlError("a path contains a NUL character, which file names cannot have")
    if is_of_memory(error):
        return MtctlError("there is not enough memory", hint=_HINTS[errno.ENOMEM])
    if isinstance(error, RuntimeError) and _NO_THREAD in text:
        return MtctlError("the system cannot start another thread", hint=_HINTS[errno.EAGAIN])
    return None


def is_of_memory(error: BaseException) -> bool:
    """Return whether memory did not suffice, of the machine or of a GPU."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)
    )


def in_one_line(error: BaseException) -> str:
    """Return what an error says about itself."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def mistake(error: BaseException, command: str, *, shown: bool = False) -> MtctlError:
    """Return what a user can do about an error that nothing explains: it is a mistake in mtctl.

    Args:
        error: what was raised.
        command: that was typed.
        shown: whether its traceback is on screen. If not, it is kept in a file, so that the end of a
            training of hours is not lost.
    """
    place = "the traceback above" if shown else _keep_traceback(error, command)
    hint = f"this is a bug in mtctl {__version__}; please report it with the command and {place}"
    return MtctlError(in_one_line(error), hint=hint, code=ExitCode.FAILED)


def _keep_traceback(error: BaseException, command: str) -> str:
    import platform  # noqa: PLC0415 - `mtctl --help` does without
    import tempfile  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    head = f"mtctl {__version__}, Python {platform.python_version()}, {platform.platform()}"
    text = "\n".join([head, command, "", *traceback.format_exception(error)])
    try:
        with tempfile.NamedTemporaryFile(prefix="mtctl-traceback-", suffix=".txt", delete=False) as file:
            file.write(text.encode(errors="backslashreplace"))
    except OSError:
        return "the traceback that -v shows"
    return f"the traceback in {file.name}"


def _of_the_system(error: OSError) -> MtctlError:
    reason = error.strerror or str(error) or type(error).__name__
    if _NO_TEMPORARY_FOLDER in reason:
        return MtctlError(
            f"there is no folder for temporary files: {reason}",
            hint="set TMPDIR to a folder that can be written",
        )
    if error.filename is None:
        if error.errno == errno.ENOENT and not _has_folder():
            return MtctlError("the current folder no longer exists", hint="change to a folder that exists")
        return MtctlError(f"the operating system refuses: {reason}", hint=_HINTS.get(error.errno or 0))
    path = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    other = f" → {error.filename2}" if error.filename2 else ""
    return MtctlError(f"{path}{other}: {reason}", hint=_HINTS.get(error.errno or 0))


def _has_folder() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True
