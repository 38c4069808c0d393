"""Where one more run will score: tolerance intervals, with or without an assumption about the shape.

An interval around a mean says where the mean of all runs lies, and shrinks with their number. A tolerance
interval says where the runs themselves lie: someone who trains once gets one of those.

Source: Patterson, Neumann, White and White, "Empirical design in reinforcement learning" (JMLR 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, erf, erfc, gamma, pi, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtctl.statistics import LEVEL, Interval, estimate

Array: TypeAlias = NDArray[np.float64]
SHARE = 0.9
"""Of the runs that lie within: nine in ten, what the source's figures show."""
FEWEST = 2
"""Runs below which nothing is known of how they differ."""
_NODES = 64
"""Places at which the mean's error is integrated over, by the trapezoidal rule: exact to 1e-9."""
_FARTHEST = 8.0
"""Standard errors beyond which nothing of a normal distribution is left in a double."""
_BISECTIONS = 60
_LARGEST_FACTOR = 1_000.0
"""Half a width in standard deviations: two runs ask for 31 at the share and level used here."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Where at least `SHARE` of the runs lie, with confidence `LEVEL`.

    Args:
        interval: in the score's units.
        any_shape: whether it holds however runs are distributed; else for normal ones.
    """

    interval: Interval
    any_shape: bool


def tolerance(runs: Sequence[float], share: float = SHARE, level: float = LEVEL) -> Tolerance | None:
    """Return the two-sided tolerance interval of a sample of runs.

    From `seeds_for_any_shape` runs on [x₍ᵣ₎, x₍ₙ₊₁₋ᵣ₎], with the largest r that keeps the confidence; below
    x̄ ± k·s, for normal runs.

    Args:
        runs: one score for each.
        share: β of all runs that lie within.
        level: 1 − α, the chance that an interval made like this holds as many.

    Returns:
        The interval; None below `FEWEST` runs.

    Source: Wilks, "Determination of sample sizes for setting tolerance limits" (1941); `normal_factor`.
    """
    n = len(runs)
    if n < FEWEST:
        return None
    if trimmed := _trimmed(n, share, level):
        ordered = sorted(runs)
        return Tolerance(Interval(ordered[trimmed - 1], ordered[n - trimmed]), any_shape=True)
    around = estimate(runs)
    half = normal_factor(n, share, level) * (around.sd or 0.0)
    return Tolerance(Interval(around.mean - half, around.mean + half), any_shape=False)


@lru_cache(maxsize=16)
def seeds_for_any_shape(share: float = SHARE, level: float = LEVEL) -> int:
    """Return the fewest runs whose lowest and highest are a tolerance interval, whatever the shape.

    The smallest n with 1 − n·βⁿ⁻¹ + (n − 1)·βⁿ ≥ 1 − α: 46 for 0.9 and 0.95.
    """
    n = FEWEST
    while not _trimmed(n, share, level):
        n += 1
    return n


def _trimmed(n: int, share: float, level: float) -> int:
    """Return r: which of the lowest and of the highest of n runs are the ends; 0 if even r = 1 is too narrow.

    P(X₍ᵣ₎ and X₍ₙ₊₁₋ᵣ₎ hold β) = P(B ≥ 2r), B binomial of n and 1 − β.
    """
    outside, r = 0.0, 0
    for below in range(n // 2):
        outside += sum(comb(n, k) * (1 - share) ** k * share ** (n - k) for k in (2 * below, 2 * below + 1))
        if 1 - outside < level:
            break
        r = below + 1
    return r


@lru_cache(maxsize=256)
def normal_factor(n: int, share: float = SHARE, level: float = LEVEL) -> float:
    """Return k: x̄ ± k·s holds a share β of a normal distribution with confidence 1 − α.

    Solves E_z[P(χ²ᵥ ≥ ν·ρ²(z)/k²)] = 1 − α for k, with z standard normal, ν = n − 1 and
    Φ(z/√n + ρ) − Φ(z/√n − ρ) = β: exact, no approximation of Howe's.

    Args:
        n: size of the sample, at least 2.
        share: β.
        level: 1 − α.

    Source: Odeh and Owen, "Tables for normal tolerance limits, sampling plans, and screening" (1980).
    """
    errors = np.linspace(0, _FARTHEST, _NODES + 1)
    weights = np.exp(-(errors**2) / 2) * sqrt(2 / pi) * (_FARTHEST / _NODES)
    weights[0] /= 2
    radii = np.array([_radius(float(each) / sqrt(n), share) for each in errors])
    low, high = 0.0, _LARGEST_FACTOR
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = float(weights @ _chi_squared_above((n - 1) * (radii / middle) ** 2, n - 1)) >= level
        low, high = (low, middle) if reached else (middle, high)
    return high


def _radius(centre: float, share: float) -> float:
    """Return ρ: [centre − ρ, centre + ρ] holds the share of a standard normal distribution."""
    low, high = 0.0, centre + _FARTHEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        held = (erf((centre + middle) / sqrt(2)) - erf((centre - middle) / sqrt(2))) / 2
        low, high = (low, middle) if held >= share else (middle, high)
    return high


def _chi_squared_above(values: Array, dof: int) -> Array:
    """Return P(χ² ≥ x) for whole degrees of freedom: [K] → [K].

    Source: Abramowitz & Stegun, "Handbook of Mathematical Functions" (1964), 26.4.4 and 26.4.5.
    """
    half, odd = values / 2, dof % 2
    above = np.array([erfc(sqrt(float(each))) for each in half]) if odd else np.zeros_like(half)
    power = 0.5 * odd
    term = np.exp(-half) * half**power / gamma(power + 1)
    for _ in range(dof // 2):
        above = above + term
        power += 1
        term = term * half / power
    return above
