"""The user's code that a command trains with: the version that it began with, in all its processes.

A command takes the SHA-256 of the files when it starts, and pins them while it trains. A process that has
imported these files goes on with what it has; one that would have to read another version refuses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from mtctl.errors import ExitCode, MtctlError

Code = Mapping[str, str]
"""SHA-256 in hexadecimal by the absolute path of a file."""

_DIGITS: Final = 12
"""Of a SHA-256 that a person compares."""
_pinned: ContextVar[Code] = ContextVar("pinned")


def versions(files: Iterable[Path]) -> dict[str, str]:
    """Return the versions of files as they are now; those that cannot be read are left out."""
    found = {str(file): digest(file) for file in files}
    return {file: known for file, known in found.items() if known is not None}


def digest(file: Path) -> str | None:
    """Return the SHA-256 of a file in hexadecimal; None where it cannot be read."""
    with suppress(OSError):
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return None


@contextmanager
def pinned(code: Code) -> Iterator[None]:
    """Let trainings inside use these versions and no others."""
    token = _pinned.set(code)
    try:
        yield
    finally:
        _pinned.reset(token)


def pin(code: Code) -> None:
    """Let all trainings of this process use these versions and no others."""
    _pinned.set(code)


def current() -> Code:
    """Return the versions that are pinned; none where there is no command."""
    return _pinned.get({})


def require_pinned() -> None:
    """Refuse to read files that are not those of the command's start.

    Raises:
        MtctlError: some have changed; nothing of them has been run.
    """
    changed = [(file, then, digest(Path(file))) for file, then in current().items()]
    told = [_told(file, then, now) for file, then, now in changed if now != then]
    if told:
        raise MtctlError(
            "\n  ".join([f"{told[0]} since this command started", *told[1:]]),
            hint="start the command again; what is trained is kept: --resume goes on once that version is "
            "restored, --force or `-o name=NEW` train all anew with this one",
            code=ExitCode.FAILED,
        )


def _told(file: str, then: str, now: str | None) -> str:
    found = "is gone" if now is None else f"is {now[:_DIGITS]}…"
    return f"{file} has changed (its SHA-256 was {then[:_DIGITS]}… and {found})"
