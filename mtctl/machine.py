"""What this machine has for us: processor cores, memory, and amounts of it in words."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_MOST: Final = 1e21
"""Bytes from which on an amount is only called huge: no unit that anybody knows is left."""


def cores() -> int:
    """Return how many processor cores this process may use, at least 1.

    Cores, not their hardware threads, which share what computes: of the processors that this process may run
    on (`taskset`, Slurm), and no more than the time that its control group is given (containers).
    """
    allowed = _processors()
    found = len({_siblings(number) for number in allowed})
    return max(1, min([found, *_shares()]))


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
    inside = min([physical, *_memory_limits()]) + swap
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


def _processors() -> list[int]:
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not say
        return list(range(os.cpu_count() or 1))


def _siblings(processor: int) -> str:
    """Return what names the core of a processor, of which hardware threads are several."""
    try:
        place = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        return place.read_text(encoding="ascii").strip()
    except OSError:  # another system, or a machine that does not say
        return str(processor)


def _shares() -> Iterator[int]:
    """Yield how many processors' time the control groups of this process get; part of one counts."""
    for group in _control_groups("cpu"):
        earlier = _words(group / "cpu.cfs_quota_us") + _words(group / "cpu.cfs_period_us")
        for words in (_words(group / "cpu.max"), earlier):
            match words:
                case [quota, period] if quota.isdecimal() and int(period):  # "max" and -1 are no limit
                    yield math.ceil(int(quota) / int(period))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _memory_limits() -> Iterator[int]:
    for group in _control_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            yield from (int(word) for word in _words(group / name) if word.isdecimal())  # "max" is none


def _control_groups(controller: str) -> Iterator[Path]:
    """Yield the folder of this process's control group, and of those around it."""
    root = Path("/sys/fs/cgroup")
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for group in groups:
        _, controllers, path = [*group.split(":", 2), "", ""][:3]
        if not controllers or controller in controllers.split(","):
            folder = (root / controllers if controllers else root) / path.lstrip("/")
            for place in (folder, *folder.parents):
                yield place
                if place == root:
                    break


if sys.platform == "win32":

    def peak() -> int | None:
        """Return None: nobody says."""
        return None

    def _address_space() -> int | None:
        return None
else:
    import resource

    def peak() -> int | None:
        """Return the largest memory in bytes that this process has had so far; None if nobody says."""
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # macOS counts in bytes, Linux in kilobytes.
        return largest if sys.platform == "darwin" else largest * 1024

    def _address_space() -> int | None:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if limit == resource.RLIM_INFINITY else limit
