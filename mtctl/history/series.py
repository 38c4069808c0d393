"""Values of one run by unit, and how they are averaged: the same for every screen, figure and report.

What updates showed is a mean over them, so that a mean of it counts each unit by its updates: it is the mean
over all updates, however they are spread over units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
MOST_STRETCHES = 50
"""Stretches that a training is divided into: as many as a figure's width shows apart."""
ENDS = 0.1
"""Share of a training that counts as its beginning, and as its end: enough units to outweigh one's chance."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of some units of a run, in order of time.

    Args:
        units: their numbers, [P].
        values: [P].
        updates: how many updates each value is a mean over, [P]; 1 where it is none.
    """

    units: Integers
    values: Array
    updates: Array

    @property
    def mean(self) -> float | None:
        """Return the mean over all updates; None without any."""
        return weighted_mean(self.values, self.updates)


def weighted_mean(values: Array, weights: Array) -> float | None:
    """Return Σ wᵢxᵢ / Σ wᵢ over the entries that are there (not NaN); None without any: [P], [P]."""
    there = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[there], weights=weights[there])) if there.any() else None


def at_ends(units: int) -> tuple[slice, slice]:
    """Return the first and the last tenth of so many units."""
    length = max(1, round(ENDS * units))
    return slice(0, length), slice(max(0, units - length), units)


@dataclass(frozen=True, slots=True)
class Stretches:
    """A training in stretches of equal length: `MOST_STRETCHES`, or one for each unit of a short training.

    Args:
        length: units of training, of the longest run.
    """

    length: int

    @property
    def count(self) -> int:
        """Return how many there are."""
        return max(1, min(MOST_STRETCHES, self.length))

    @property
    def middles(self) -> Array:
        """Return the mean number of the units in each: [count]."""
        middles: Array = (np.arange(self.count) + 0.5) / self.count * self.length + 0.5
        return middles

    def means(self, series: Series) -> Array:
        """Return the mean in each stretch, over its updates: [count], NaN without any."""
        places = np.minimum((series.units - 1) * self.count // max(1, self.length), self.count - 1)
        sums, counts = (
            np.bincount(places, weights, self.count).astype(np.float64)
            for weights in (series.values * series.updates, series.updates)
        )
        return _quotients(sums, counts)

    def over_runs(self, rows: Sequence[Array]) -> Array:
        """Return the mean over the runs that have a value: [count], NaN where none has.

        Each run counts once, however many updates it had: runs are what was repeated, updates of one run are
        not independent, and a seed whose episodes happen to be long says no more than another.
        """
        values = np.array(rows, dtype=np.float64).reshape(-1, self.count)
        known = ~np.isnan(values)
        return _quotients(np.where(known, values, 0.0).sum(0), known.sum(0).astype(np.float64))


def _quotients(sums: Array, counts: Array) -> Array:
    """Return sums over counts, NaN where nothing was counted."""
    means: Array = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means
