"""What this machine has: memory, and amounts of it in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_MOST: Final = 1e21
"""Bytes from which on an amount is only called huge: no unit that anybody knows is left."""


def memory() -> int | None:
    """Return the bytes of memory that a process can have at most, swap included; None if nobody says.

    The least of the machine's memory and of the limits of its control group (containers, Slurm) and of
    `ulimit -v`.
    """
    figures = _meminfo()
    physical = figures.get("MemTotal") or _pages()
    if physical is None:
        return None
    swap = figures.get("SwapTotal", 0)
    address_space = _address_space()
    inside = min([physical, *_control_group_limits()]) + swap
    return inside if address_space is None else min(inside, address_space)


def available() -> int | None:
    """Return the bytes of memory that nobody uses at the moment; None if nobody says."""
    whole, free = memory(), _meminfo().get("MemAvailable")
    return whole if whole is None or free is None else min(whole, free)


def size(amount: float) -> str:
    """Return an amount of bytes in words: "80 GB"."""
    if amount >= _MOST:
        return "more than 1,000 EB"
    for unit in _UNITS:
        if amount < 999.5 or unit == _UNITS[-1]:
            break
        amount /= 1000
    return f"{amount:.3g} {unit}"


def _meminfo() -> dict[str, int]:
    """Return Linux's figures in bytes; none elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return {
            name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)
        }
    except (OSError, ValueError, IndexError):
        return {}


def _pages() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no such figures
        return None


def _control_group_limits() -> Iterator[int]:
    """Yield the limits of this process's control group and of those around it."""
    root = Path("/sys/fs/cgroup")
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for group in groups:
        _, controllers, path = [*group.split(":", 2), "", ""][:3]
        if controllers in ("", "memory"):
            folder = (root / controllers if controllers else root) / path.lstrip("/")
            for place in (folder, *folder.parents):
                yield from _limit(place)
                if place == root:
                    break


def _limit(group: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            yield int((group / name).read_text(encoding="ascii"))
        except (OSError, ValueError):  # there is none; "max" is no number
            continue


if sys.platform == "win32":

    def _address_space() -> int | None:
        return None
else:
    import resource

    def _address_space() -> int | None:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if limit == resource.RLIM_INFINITY else limit
