"""The highest resident memory of this process while something runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

_RESIDENT: Final = Path("/proc/self/statm")
_EVERY: Final = 0.02
"""Seconds between two looks: a step of the smallest models takes about as long."""


@dataclass(slots=True)
class Peak:
    """What was found.

    Args:
        memory: MiB; None where the system does not tell (all but Linux).
    """

    memory: float | None = None


@contextmanager
def watched_memory() -> Iterator[Peak]:
    """Look at the resident memory every few milliseconds, in a thread of its own."""
    peak, ended = Peak(), Event()
    if not _RESIDENT.exists():
        yield peak
        return

    def look() -> None:
        peak.memory = max(peak.memory or 0.0, _resident())

    def go_on() -> None:
        while not ended.wait(_EVERY):
            look()

    thread = Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield peak
        look()
    finally:
        ended.set()
        thread.join()


def _resident() -> float:
    pages = int(_RESIDENT.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
