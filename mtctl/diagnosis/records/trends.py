"""Whether a noisy curve moves: its change, its noise, its trend.

Curves are averaged over blocks first, so that a record of each update and one of each epoch are judged
alike, and so that neighbouring records, which are rarely independent, count once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from mtctl.diagnosis.thresholds import (
    BEYOND_NOISE,
    FEWEST_RECORDS,
    TWO_SIDED,
)

Values = npt.NDArray[np.float64]
Direction = Literal["falling", "level", "rising"]

BLOCKS: Final = 90
"""Blocks of a long curve: 30 in its last third, enough for a rank test and few enough for all pairs."""
_NOTHING: Final = 1e-9
"""Part of another value below which one is nothing beside it."""
_NOISY: Final = 0.1
"""Noise of a block, relative to the curve's middle, from which single blocks say little."""
_TENTHS: Final = 20
"""Blocks from which a tenth of them is a beginning or an end."""
_LARGEST: Final = 1e100
"""Squares and sums of what is smaller stay finite."""


def blocks(values: Sequence[float] | Values) -> Values:
    """Return the means of up to 90 blocks of equal length (by one), in order."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) <= BLOCKS:
        return array
    starts = np.arange(BLOCKS) * len(array) // BLOCKS
    lengths = np.diff(np.append(starts, len(array)))
    return np.asarray(np.add.reduceat(array, starts) / lengths)


def noise(values: Values) -> float:
    """Return the standard deviation around a smooth curve: 1.4826·median|yᵢ₋₁ − 2yᵢ + yᵢ₊₁|/√6.

    Second differences drop any straight line, and the median any few jumps; 0 below 5 values.
    """
    if len(values) < FEWEST_RECORDS:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(values, 2))) / np.sqrt(6))


def mann_kendall(values: Values) -> float:
    """Return z of the Mann–Kendall test: S = Σ_{i<j} sign(yⱼ − yᵢ), over its deviation without a trend.

    Negative for a falling curve; ties and continuity are corrected for; 0 below 5 values.

    Source: Mann (1945); Kendall, "Rank Correlation Methods" (1975).
    """
    n = len(values)
    if n < FEWEST_RECORDS:
        return 0.0
    s = float(np.triu(np.sign(values[None, :] - values[:, None])).sum())
    ties = np.unique(values, return_counts=True)[1].astype(np.float64)
    variance = (n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
    return float((s - np.sign(s)) / np.sqrt(variance)) if variance > 0 else 0.0


def theil_sen(values: Values) -> tuple[float, float]:
    """Return slope per value, the median of all pairs' slopes, and the line's value at the first.

    Source: Sen, "Estimates of the regression coefficient based on Kendall's tau" (1968).
    """
    i, j = np.triu_indices(len(values), 1)
    slope = float(np.median((values[j] - values[i]) / (j - i)))
    return slope, float(np.median(values - slope * np.arange(len(values))))


@dataclass(frozen=True, slots=True)
class Trend:
    """The last third of a curve.

    Args:
        change: relative, along the fitted line.
        z: of the Mann–Kendall test.
    """

    change: float
    z: float

    @property
    def direction(self) -> Direction:
        """Return the direction, if it is beyond chance."""
        return _direction(self.z)


def trend(values: Sequence[float] | Values) -> Trend | None:
    """Return the trend over the last third, of 5 values at least; None where there are fewer."""
    means = blocks(values)
    if len(means) < FEWEST_RECORDS:
        return None
    tail = means[-max(FEWEST_RECORDS, len(means) // 3) :]
    slope, start = theil_sen(tail)
    return Trend(relative(start, start + slope * (len(tail) - 1)), mann_kendall(tail))


@dataclass(frozen=True, slots=True)
class CurveSummary:
    """A curve from end to end.

    Args:
        first: mean of its first block; of a noisy curve, the median of its first tenth.
        last: median of its last 30th; of a noisy curve, of its last tenth.
        noise: standard error of these.
        direction: whether it moved by more than its noise.
        lowest: its lowest point, of neighbouring blocks together.
        since_lowest: blocks after these.
    """

    first: float
    last: float
    noise: float
    direction: Direction
    lowest: float
    since_lowest: int

    @property
    def change(self) -> float:
        """Return (last − first)/|first|."""
        return relative(self.first, self.last)


def course(values: Sequence[float] | Values) -> CurveSummary:
    """Return how a curve went, given at least one value.

    It has moved if the rank test over all blocks says so, or if its ends differ by 3 standard errors: a curve
    that falls at once and stays has moved, though most of its values are in no order.
    """
    means = blocks(values)
    width, deviation = resolution(means)
    first, last = float(means[0]), float(np.median(means[-max(1, len(means) // 30) :]))
    if width > 1:
        first, last = float(np.median(means[:width])), float(np.median(means[-width:]))
    gap = last - first
    by_ranks = mann_kendall(means)
    if abs(gap) > BEYOND_NOISE * np.sqrt(2) * deviation:
        direction: Direction = "falling" if gap < 0 else "rising" if gap > 0 else "level"
    else:
        direction = _direction(by_ranks) if by_ranks * gap > 0 else "level"
    lowest, since_lowest = lowest_point(means)
    return CurveSummary(first, last, deviation, direction, lowest, since_lowest)


def resolution(means: Values) -> tuple[int, float]:
    """Return how many neighbouring blocks count together, and the standard error of their median.

    One, and the noise of a block, where that is small; of a noisy curve a tenth.
    """
    deviation = noise(means)
    if len(means) < _TENTHS or deviation <= _NOISY * abs(float(np.median(means))):
        return 1, deviation
    width = max(FEWEST_RECORDS, len(means) // 10)
    return width, float(1.25 * deviation / np.sqrt(width))


def lowest_point(means: Values) -> tuple[float, int]:
    """Return the lowest median of neighbouring blocks, three or more, and how many blocks come after them.

    The ends count too: a curve that falls to its end has its lowest point there.
    """
    width = min(len(means), max(3, resolution(means)[0]))
    medians = np.median(np.lib.stride_tricks.sliding_window_view(means, width), axis=1)
    place = int(medians.argmin())
    lowest, after = float(medians[place]), len(means) - width - place
    if width == 3 and means[0] < lowest:
        return float(means[0]), len(means) - 1
    return lowest, after


def relative(first: float, last: float) -> float:
    """Return (last − first)/|first|; over |last| where the first is nothing beside it, to stay finite."""
    scale = abs(first) if abs(first) > _NOTHING * abs(last) else abs(last)
    return (last - first) / scale if scale else 0.0


def finite(values: Values) -> npt.NDArray[np.bool_]:
    """Return which values [n] are numbers that can be reckoned with: no NaN, and none beyond 10¹⁰⁰."""
    return np.abs(values) <= _LARGEST


def ends_unusable(values: Values) -> bool:
    """Say whether a curve has become NaN or infinite to stay so: at its end, and longer than ever before."""
    usable = finite(values)
    if not len(values) or usable[-1]:
        return False
    if not usable.any():
        return True
    places = np.flatnonzero(usable)
    longest_gap = int(np.diff(places, prepend=-1).max()) - 1
    at_end = len(values) - 1 - int(places[-1])
    return at_end > 2 * longest_gap


def _direction(z: float) -> Direction:
    return "falling" if z < -TWO_SIDED else "rising" if z > TWO_SIDED else "level"
