"""Means and the intervals around them, for samples as small as two seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin, sqrt, tan

LEVEL = 0.95
"""Confidence of every interval that mtctl prints."""
_BISECTIONS = 60
"""Halvings of an angle in (0, π/2); 53 already exhaust a double."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval, in the units of what it is about."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a sample says about the mean of what it was drawn from.

    Args:
        n: the sample's size, at least 1.
        mean: the sample's mean.
        sd: the sample's standard deviation with n − 1 in the denominator; None for one value.
        interval: the t interval around the mean; None for one value, of which no interval can be had.
    """

    n: int
    mean: float
    sd: float | None
    interval: Interval | None

    @property
    def half_width(self) -> float | None:
        """Return half the interval's width: the number after ±."""
        return None if self.interval is None else (self.interval.high - self.interval.low) / 2


def estimate(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Return mean, standard deviation and t interval of a sample.

    x̄ ± t·s/√n, with t the (1 + level)/2 quantile of Student's distribution with n − 1 degrees of freedom.

    Args:
        values: independent values in any unit: a run's episodes, or one mean per seed.
        level: the interval's confidence.

    Raises:
        ValueError: if there is no value.

    Source: Student, "The probable error of a mean" (1908).
    """
    n, mean = len(values), mean_of(values)
    if n == 1:
        return Estimate(n, mean, None, None)
    sd = statistics.stdev(values)
    half = t_quantile((1 + level) / 2, n - 1) * sd / sqrt(n)
    return Estimate(n, mean, sd, Interval(mean - half, mean + half))


def mean_of(values: Sequence[float]) -> float:
    """Return the arithmetic mean, rounded once.

    Raises:
        ValueError: if there is no value.
    """
    if not values:
        raise ValueError("the mean of no values is undefined")
    return statistics.fmean(values)


def wilson_interval(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a success rate.

    (p̂ + z²/2n ± z·√(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n): within [0, 1], and not empty at 0 or n successes.

    Args:
        successes: how many of the trials succeeded.
        trials: independent trials, at least 1.
        level: the interval's confidence.

    Raises:
        ValueError: unless 0 ≤ successes ≤ trials and 1 ≤ trials.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials is no rate")
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    half = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding must not push the bounds past the rate itself at 0 or n successes.
    return Interval(
        min(rate, max(0.0, (centre - half) / scale)), max(rate, min(1.0, (centre + half) / scale))
    )


@lru_cache(maxsize=1024)
def t_quantile(probability: float, dof: int) -> float:
    """Return the quantile of Student's t distribution.

    Inverts P(|T| ≤ √ν·tan θ), a finite trigonometric sum for whole ν, by bisection on θ.

    Args:
        probability: in (0, 1); 0.975 for a two-sided 95 % interval.
        dof: degrees of freedom ν, at least 1.

    Raises:
        ValueError: outside these ranges.

    Source: Abramowitz & Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4.
    """
    if not 0 < probability < 1 or dof < 1:
        raise ValueError(f"no quantile {probability} of Student's t with {dof} degrees of freedom")
    if probability < 0.5:
        return -t_quantile(1 - probability, dof)
    low, high = 0.0, pi / 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if central_probability(middle, dof) < 2 * probability - 1 else (low, middle)
        )
    return sqrt(dof) * tan(low)


def central_probability(theta: float, dof: int) -> float:
    """Return P(|T| ≤ √ν·tan θ) for Student's t.

    A sum in powers of cos² θ, each term one factor more than the last.

    Args:
        theta: in [0, π/2].
        dof: degrees of freedom ν, at least 1.

    Source: Abramowitz & Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4.
    """
    odd = dof % 2
    term = cos(theta) if odd else 1.0
    total = 0.0
    for k in range(1, (dof - odd) // 2 + 1):
        total += term
        term *= cos(theta) ** 2 * (2 * k - 1 + odd) / (2 * k + odd)
    return 2 / pi * (theta + sin(theta) * total) if odd else sin(theta) * total


@dataclass(frozen=True, slots=True)
class Noise:
    """How uncertain a mean is.

    Args:
        variance: of the mean: s²/n, in the square of its units.
        dof: degrees of freedom that s was estimated with: n − 1, at least 1.
    """

    variance: float
    dof: int


def welch_interval(difference: float, noises: Sequence[Noise], level: float = LEVEL) -> Interval:
    """Return the interval of a difference, or a mean, of means with noises of their own.

    d ± t·√Σvᵢ, with t the (1 + level)/2 quantile of Student's distribution with ν = (Σvᵢ)² / Σ(vᵢ²/νᵢ)
    degrees of freedom, rounded down: the interval is a trifle too wide rather than too narrow.

    Args:
        difference: d.
        noises: of the means in it, which are independent of each other; weights are in the variances.
        level: the interval's confidence.

    Source: Welch, "The generalization of Student's problem when several different population variances are
    involved" (1947).
    """
    variance = sum(noise.variance for noise in noises)
    if not variance:
        return Interval(difference, difference)
    # In shares of the whole: squares of tiny variances would vanish.
    dof = 1 / sum((noise.variance / variance) ** 2 / noise.dof for noise in noises)
    half = t_quantile((1 + level) / 2, max(1, int(dof))) * sqrt(variance)
    return Interval(difference - half, difference + half)
