"""Twelve numbers per bar that describe its shape, its surroundings and the last turns of the price.

All are causal (bar t looks at bars ≤ t), free of the price's unit, and of order 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from mtctl.problems.windows.windows import LENGTH, Floats, Integers

NAMES: Final = (
    "open_norm",
    "close_norm",
    "body_pct",
    "upper_wick_pct",
    "lower_wick_pct",
    "range_z",
    "swing_high_distance",
    "swing_low_distance",
    "swing_high_bars",
    "swing_low_bars",
    "expansion_proxy",
    "consolidation_proxy",
)
"""Features in their order; `position`, where asked for, follows."""

HISTORY: Final = 20
"""Bars, the present one included, that a bar is compared with."""
LEG: Final = 4
"""Bars over whose move the direction of the present leg is read."""
RECENT: Final = 8
"""Bars whose range is compared with that of the last `HISTORY`."""
WING: Final = 3
"""A swing is an extreme among this many bars on either side, so it is known this many bars later."""
FAR: Final = 10.0
"""Mean ranges that a random walk is away from where it began after about a window."""
LIMIT: Final = 4.0
"""Quotients are clipped here: distances may be large beside ranges that are nearly 0."""
ROUNDING: Final = 1e-10
"""Variance of ranges, relative to their squared mean, that is no more than the rounding of prices."""


def features(bars: Floats, position: bool = False) -> npt.NDArray[np.float32]:
    """Return the features [N, 105, 12], or [N, 105, 13] with the position.

    With o, h, l, c the bar's prices, H and L the highest high and lowest low of the last 20 bars:

    - open_norm, close_norm: o and c minus the window's first open, in 10 mean ranges h − l so far, within ±4
    - body_pct: (c − o)/(h − l), in [−1, 1]; the wicks: (h − max(o, c))/(h − l), (min(o, c) − l)/(h − l)
    - range_z: the z-score of h − l among those of all bars so far, within ±4
    - swing_high_distance, swing_low_distance: (swing − c)/(H − L), within ±4
    - swing_high_bars, swing_low_bars: log(1 + bars since the swing)/log 105, in [0, 1]
    - expansion_proxy: range_z · leg · body_pct, where leg is the sign of c minus the close 4 bars before (at
      first: minus the first open)
    - consolidation_proxy: 1 − (range of the last 8 bars)/(H − L), in [0, 1]
    - position: t/104

    A swing high is a bar whose high exceeds those of the 3 bars before it and is not exceeded by the 3 after
    it, with which it becomes known; until then the highest bar so far stands in. Lows mirror this. A quotient
    whose denominator is 0 is 0.

    Args:
        bars: [N, 105, 4] open, high, low, close.
        position: whether to append t/104, which tells the model where in the window it is.
    """
    opened, high, low, closed = np.moveaxis(bars / bars[:, :1, :1], -1, 0)
    span = high - low
    highest, lowest = _rolling_max(high, HISTORY), -_rolling_max(-low, HISTORY)
    reach = highest - lowest
    body = _quotient(closed - opened, span)
    range_z = _z_score(span)
    high_bar, low_bar = _swing_highs(high), _swing_highs(-low)
    bar = np.arange(LENGTH)
    far = FAR * np.cumsum(span, axis=1) / (bar + 1)
    earlier = np.hstack([np.repeat(opened[:, :1], LEG, axis=1), closed[:, :-LEG]])
    leg = np.sign(closed - earlier)
    columns = [
        _quotient(opened - opened[:, :1], far),
        _quotient(closed - opened[:, :1], far),
        body,
        _quotient(high - np.maximum(opened, closed), span),
        _quotient(np.minimum(opened, closed) - low, span),
        range_z,
        _quotient(np.take_along_axis(high, high_bar, axis=1) - closed, reach),
        _quotient(np.take_along_axis(low, low_bar, axis=1) - closed, reach),
        np.log1p(bar - high_bar) / np.log(LENGTH),
        np.log1p(bar - low_bar) / np.log(LENGTH),
        range_z * leg * body,
        1 - _quotient(_rolling_max(high, RECENT) + _rolling_max(-low, RECENT), reach),
    ]
    if position:
        columns.append(np.broadcast_to(bar / (LENGTH - 1), span.shape))
    return np.stack(columns, axis=-1).astype(np.float32)


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    """Divide, giving 0 where the denominator is 0, and clip."""
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return np.clip(ratio, -LIMIT, LIMIT)


def _rolling(values: Floats, bars: int, missing: float) -> Floats:
    """Return the last `bars` values up to each bar, [N, 105, bars], with `missing` before the first."""
    padded = np.pad(values, ((0, 0), (bars - 1, 0)), constant_values=missing)
    return sliding_window_view(padded, bars, axis=1)


def _rolling_max(values: Floats, bars: int) -> Floats:
    highest: Floats = _rolling(values, bars, -np.inf).max(axis=-1)
    return highest


def _z_score(values: Floats) -> Floats:
    """Return (x_t − mean)/sd over the values up to x_t; 0 where they are equal but for rounding."""
    known = np.arange(1, LENGTH + 1)
    mean = np.cumsum(values, axis=1) / known
    variance = np.cumsum(values**2, axis=1) / known - mean**2
    return _quotient(values - mean, np.sqrt(np.where(variance > ROUNDING * mean**2, variance, 0)))


def _swing_highs(high: Floats) -> Integers:
    """Return the bar [N, 105] of the last swing high known at each bar."""
    bar = np.arange(LENGTH)
    so_far = np.maximum.accumulate(high, axis=1)
    rises = np.diff(so_far, axis=1, prepend=-np.inf) > 0
    stand_in = np.maximum.accumulate(np.where(rises, bar, 0), axis=1)
    around = sliding_window_view(high, 2 * WING + 1, axis=1)
    turns = around.argmax(axis=-1) == WING
    known = np.full(high.shape, -1)
    known[:, 2 * WING :] = np.where(turns, bar[WING:-WING], -1)
    known = np.maximum.accumulate(known, axis=1)
    return np.where(known >= 0, known, stand_in)
