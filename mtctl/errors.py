"""The one exception that a user may see: what is wrong, where, and what to do about it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell is told. The four values are part of the command line's contract."""

    OK = 0
    FAILED = 1  #: the run itself failed, or a gate that was asked for was not met
    USAGE = 2  #: a problem with flags, a recipe, results or a checkpoint
    INTERRUPTED = 130  #: stopped by the user; resumable


class MtctlError(Exception):
    """A failure that is explained on screen without a traceback.

    Args:
        message: what is wrong and where, as one or more plain lines without the leading "error:".
        hint: what to do about it: one or more plain lines.
        code: the process's exit code; `USAGE` unless the run itself failed.

    Attributes:
        facts: of a run that diverged: `task`, what was `found`, and the `place` in the run; else empty.
    """

    def __init__(self, message: str, *, hint: str | None = None, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.facts: dict[str, str] = {}
