"""Whether a difference is more than chance, among several at once, and how many seeds would tell."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan, ceil, sqrt
from statistics import NormalDist

from mtctl.statistics import central_probability, estimate

POWER = 0.8
"""Chance of finding a difference that is there, for which seeds are counted: Cohen's convention."""
MOST_SEEDS = 1000
"""Beyond as many seeds nobody trains, and a difference that needs them is none in practice."""


def paired_p_value(differences: Sequence[float]) -> float | None:
    """Return the two-sided p value of Student's t test that the mean difference is 0.

    t = d̄·√n / s, with n − 1 degrees of freedom.

    Args:
        differences: one per seed that both methods were trained with.

    Returns:
        The p value, at most 1; None below two differences, of which nothing can be said.

    Source: Student, "The probable error of a mean" (1908).
    """
    if len(differences) < 2:
        return None
    difference = estimate(differences)
    if not difference.sd:
        return 0.0 if difference.mean else 1.0
    dof = difference.n - 1
    t = abs(difference.mean) * sqrt(difference.n) / difference.sd
    return max(0.0, 1 - central_probability(atan(t / sqrt(dof)), dof))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number, in the order given.

    p̃₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1)·p₍ⱼ₎): at p̃ ≤ 0.05, the chance of one false difference or more
    among all m is at most 5 %, however they depend on each other.

    Args:
        p_values: one per comparison.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def seeds_needed(mean: float, sd: float, level: float, power: float = POWER) -> int | None:
    """Return about how many seeds a paired t test needs to find a difference as large as the one seen.

    n = ⌈((z₁₋ₐ⸝₂ + z_power)·s/d̄)² + z²₁₋ₐ⸝₂/2⌉, with normal quantiles z and a = 1 − level: within one of the
    exact number.

    Args:
        mean: d̄, the difference seen, in the score's units.
        sd: s, the standard deviation of the differences between seeds.
        level: the test's confidence, 0.95 for one comparison.
        power: the chance of finding it.

    Returns:
        The number of seeds, at least 2; None if more than `MOST_SEEDS` would be needed.

    Source: Guenther, "Sample size formulas for normal theory t tests" (1981).
    """
    two_sided, chance = NormalDist().inv_cdf((1 + level) / 2), NormalDist().inv_cdf(power)
    least = two_sided**2 / 2
    if (two_sided + chance) * sd > sqrt(MOST_SEEDS - least) * abs(mean):
        return None
    return max(2, ceil(((two_sided + chance) * sd / mean) ** 2 + least)) if mean else None
