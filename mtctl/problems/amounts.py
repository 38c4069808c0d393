"""Parts of a run's memory, and which setting is to be named for one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Amount:
    """A part of a run's memory.

    Args:
        key: the setting that decides it, dotted.
        what: what takes it.
        count: bytes.
    """

    key: str
    what: str
    count: float


def larger(
    one: tuple[str, str], factor: float, other: tuple[str, str], other_factor: float
) -> tuple[str, str]:
    """Return which of two settings whose product takes memory is to be named."""
    return one if factor >= other_factor else other
