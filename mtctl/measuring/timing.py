"""Paired, interleaved timing: every side runs in every block, so what the machine does meanwhile hits all."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles over blocks."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        return cls(float(median), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds per call of each side in each block.

    Args:
        seconds: side → [blocks].
    """

    seconds: Mapping[str, np.ndarray]

    def of(self, side: str) -> Spread:
        """Return `side`'s seconds per call."""
        return Spread.of(self.seconds[side])

    def ratio(self, side: str, base: str) -> Spread:
        """Return how many times longer `side` took than `base`, block by block."""
        return Spread.of(self.seconds[side] / self.seconds[base])

    def overhead(self, side: str, peer: str, base: str) -> Spread:
        """Return which part `side` adds to `base` of what `peer` adds to it, block by block."""
        plain = self.seconds[base]
        return Spread.of((self.seconds[side] - plain) / (self.seconds[peer] - plain))


def interleave(
    sides: Mapping[str, Callable[[int], None]],
    *,
    blocks: int,
    calls: int,
    warm_up: int,
    settle: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Time all sides in turn, block after block.

    Args:
        sides: name → what runs that many calls in a row. Who goes first changes from block to block.
        blocks: how often every side is timed.
        calls: calls per side and block; enough that the clock's own cost vanishes.
        warm_up: calls per side that are not timed (lazy initialisation, caches).
        settle: calls before each timed part that are not timed either: what the side before has left in
            caches and the allocator is its own cost.
        clock: the time that passes; `time.process_time` counts only what this process is given of it, which
            is the same for sides of one thread, and steadier on a machine with other work.
    """
    names = list(sides)
    for side in sides.values():
        side(warm_up)
    seconds = {name: np.empty(blocks) for name in names}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for block in range(blocks):
            first = block % len(names)
            for name in names[first:] + names[:first]:
                if settle:
                    sides[name](settle)
                start = clock()
                sides[name](calls)
                seconds[name][block] = (clock() - start) / calls
    finally:
        if collecting:
            gc.enable()
    return Timings(seconds)
