"""Where a run came from: versions, time, memory."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata

from mtctl import __version__

_PACKAGES = {"torch": "torch", "numpy": "numpy", "gymnasium": "gymnasium", "box2d": "box2d"}


def versions() -> dict[str, str | None]:
    """Return the versions that decide a run's numbers; None for a package that is not installed."""
    found: dict[str, str | None] = {"mtctl": __version__, "python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def now() -> str:
    """Return the time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def peak_memory_mb() -> float | None:
    """Return this process's largest resident memory so far in MB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not on Windows

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, Linux in kilobytes.
    return round(kilobytes / (1e6 if sys.platform == "darwin" else 1e3), 1)


def command_line(arguments: Iterable[str]) -> str:
    """Return a command as one printable line that can be pasted into a shell.

    Control characters, and bytes that are not UTF-8, are written as bash, zsh and POSIX 2024 read them: $'…'.
    """
    return " ".join(map(_quoted, arguments))


def _quoted(argument: str) -> str:
    if argument.isprintable():
        return shlex.quote(argument)
    return f"$'{''.join(map(_escaped, argument))}'"


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # how Python shows a byte that is not UTF-8
        return f"\\{code - 0xDC00:03o}"
    # Octal, of three digits at most: what follows cannot be taken for a further digit.
    return "".join(f"\\{byte:03o}" for byte in character.encode(errors="replace"))
