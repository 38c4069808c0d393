"""Where a run came from: versions, time, memory."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata

from mtctl import __version__
from mtctl.machine import peak

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
    found = peak()
    return None if found is None else round(found / 1e6, 1)
