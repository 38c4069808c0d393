"""Where a run came from: versions, time, memory."""

from __future__ import annotations

import platform
import sys
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
