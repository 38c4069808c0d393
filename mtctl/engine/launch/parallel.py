"""How many processes work at a time where nobody has said it: one a core, as far as memory goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mtctl.machine import available, cores, size

_SPARE: Final = 0.9
"""Share of the free memory that is planned with: what others take varies."""


@dataclass(frozen=True, slots=True)
class Parallel:
    """How many at a time.

    Args:
        count: at least 1.
        reason: what it was decided by, in words; empty where the user has said it.
    """

    count: int
    reason: str = ""

    def line(self, what: str) -> str:
        """Say it: "2 runs in parallel (2 cores)".

        Args:
            what: works at a time, in the singular.
        """
        text = f"one {what} at a time" if self.count == 1 else f"{self.count} {what}s in parallel"
        return f"{text} ({self.reason})" if self.reason else text


def in_parallel(asked: int | None, number: int, process: float) -> Parallel:
    """Return how many processes work at a time: never more than there are to be made.

    Args:
        asked: by the user; else one a physical core, and no more than fit into the memory that is free.
        number: of those to be made.
        process: bytes that the largest of them takes.
    """
    if asked is not None:
        return Parallel(min(asked, number))
    processors, free = cores(), available()
    fit = processors if free is None else max(1, int(_SPARE * free / process))
    if fit < min(processors, number):
        return Parallel(fit, f"{size(free or 0)} of memory are free, and each may take {size(process)}")
    return Parallel(min(processors, number), f"{processors} core{'s' if processors > 1 else ''}")
