"""Made-up windows whose expansions can be found, as hard to find as wished.

The published study's 210 windows are not public. These follow what it tells of them: expansions start at
bar 50 on average and last about 5 bars, so that the losses of trivial predictors are the study's as well.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mtctl.errors import MtctlError
from mtctl.problems.windows.windows import LENGTH, TYPES, Floats, Integers, LabelledWindows

DEFAULT: Final = 0.3
"""Difficulty at which the study's training loop behaves as published: from the first to the fifth epoch (168
windows, batches of 32) the countdown's loss falls by less than 1 %, the pointer's by about two thirds."""

FIRST_START, LAST_START = 20, 80
"""Starts are uniform: bar 50 on average, and room on both sides for the countdown's ±20."""
MEDIAN_LENGTH, LENGTH_SPREAD, LEAST_LENGTH, GREATEST_LENGTH = 5.0, 0.5, 2, 20
"""end − start, in bars: log-normal, rounded, kept in these limits."""
LEAST_LEAD, GREATEST_LEAD = 12, 20
"""Bars of consolidation or retracement before the start."""

VOLATILITY: Final = 5e-4
"""Typical standard deviation of a bar's log return: a liquid future's minute."""
PERSISTENCE, CLUSTERING = 0.95, 0.25
"""Log volatility within a window: AR(1) coefficient from bar to bar, and stationary standard deviation."""
WICK: Final = 0.4
"""Mean wick on either side of a body, in standard deviations of the bar's return."""

# What difficulty 0 adds, in standard deviations of a bar's return.
_EXPANSION: Final = 9.0
_RETRACEMENT: Final = 1.7
_QUIET: Final = 0.1  #: volatility in a consolidation, relative to what it were without


def generate(count: int, rng: np.random.Generator, difficulty: float = DEFAULT) -> LabelledWindows:
    """Return `count` independent windows.

    Log prices are a random walk with clustered volatility, r_t = σ_t·q_t·(ε_t + λ·m_t), where
    λ = 1 − difficulty. With direction d = ±1 the drift m_t is 9·d in the expansion and −1.7·d in a
    retracement before it; in a consolidation volatility shrinks by q_t = 1 − 0.9·λ; else m = 0, q = 1.

    Args:
        count: windows.
        rng: what all randomness comes from.
        difficulty: 0: expansions are obvious; 1: prices tell nothing about the labels.

    Raises:
        MtctlError: if the difficulty is not in [0, 1].
    """
    if not 0 <= difficulty <= 1:
        raise MtctlError(f"`difficulty` is {difficulty}", hint="it is between 0 (obvious) and 1 (no signal)")
    label = rng.integers(len(TYPES), size=count)
    start = rng.integers(FIRST_START, LAST_START + 1, size=count)
    length = np.rint(rng.lognormal(np.log(MEDIAN_LENGTH), LENGTH_SPREAD, count)).astype(np.int64)
    end = start + np.clip(length, LEAST_LENGTH, GREATEST_LENGTH)
    drift, quiet = _traces(label, start, end, rng)
    strength = 1 - difficulty
    bars = _bars(strength * drift, 1 - strength * (1 - quiet), rng)
    ids = tuple(f"synthetic-{number:05d}" for number in range(count))
    return LabelledWindows(bars, label, start, end, ids, base=np.arange(count))


def _traces(
    label: Integers, start: Integers, end: Integers, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the drift and the factor on volatility [N, 105] that labels leave at difficulty 0."""
    bar = np.arange(LENGTH)
    direction = rng.choice([-1.0, 1.0], size=(len(label), 1))
    lead = rng.integers(LEAST_LEAD, GREATEST_LEAD + 1, size=len(label))
    before = ((start - lead)[:, None] <= bar) & (bar < start[:, None])
    inside = (start[:, None] <= bar) & (bar <= end[:, None])
    consolidates = (label == TYPES.index("consolidation"))[:, None]
    drift = direction * (_EXPANSION * inside - _RETRACEMENT * (before & ~consolidates))
    return drift, np.where(before & consolidates, _QUIET, 1.0)


def _bars(drift: Floats, quiet: Floats, rng: np.random.Generator) -> Floats:
    """Return bars [N, 105, 4], without gaps between one's close and the next one's open."""
    volatility = quiet * _volatility(len(drift), rng)
    closed = np.cumsum(volatility * (rng.standard_normal(drift.shape) + drift), axis=1)
    opened = np.pad(closed[:, :-1], ((0, 0), (1, 0)))
    wicks = WICK * volatility[..., None] * rng.standard_exponential((*drift.shape, 2))
    high = np.maximum(opened, closed) + wicks[..., 0]
    low = np.minimum(opened, closed) - wicks[..., 1]
    first = rng.uniform(np.log(50), np.log(500), size=(len(drift), 1, 1))
    return np.exp(first + np.stack([opened, high, low, closed], axis=-1))


def _volatility(count: int, rng: np.random.Generator) -> Floats:
    """Return σ [N, 105]: exp of an AR(1) process that starts in its stationary distribution."""
    lag = np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))
    kernel = np.where(lag >= 0, PERSISTENCE ** np.maximum(lag, 0), 0.0)
    kernel[:, 1:] *= np.sqrt(1 - PERSISTENCE**2)
    return VOLATILITY * np.exp(CLUSTERING * rng.standard_normal((count, LENGTH)) @ kernel.T)
