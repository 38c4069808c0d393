"""Aggregates over seeds and tasks with bootstrap intervals, as the literature on few runs asks for them.

Scores are matrices [seeds, tasks]. Resampling is stratified: each task's seeds are drawn with replacement,
apart from the other tasks' seeds. Tasks that share a network are not independent, so that for them these
intervals describe the tasks at hand and do not decide; verdicts come from differences paired by seed.

Source: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtctl.statistics import LEVEL, Interval

Array: TypeAlias = NDArray[np.float64]
RESAMPLES = 2_000
"""Ends of an interval then move by one or two hundredths of its width from one generator to another."""
_TRIMMED = 0.25


def mean_score(scores: Array) -> Array:
    """Return the mean over tasks of the means over seeds: [..., seeds, tasks] → [...]."""
    return np.asarray(scores.mean((-2, -1)))


def median_score(scores: Array) -> Array:
    """Return the median over tasks of the means over seeds: [..., seeds, tasks] → [...]."""
    return np.asarray(np.median(scores.mean(-2), -1))


def interquartile_mean(scores: Array) -> Array:
    """Return the mean of the middle half of all seeds' and tasks' scores: [..., seeds, tasks] → [...].

    A quarter of the values, rounded down, is left out at either end.
    """
    values = scores.reshape(*scores.shape[:-2], -1)
    cut = int(_TRIMMED * values.shape[-1])
    kept = values.shape[-1] - cut
    return np.asarray(np.partition(values, (cut, kept - 1), -1)[..., cut:kept].mean(-1))


def bootstrap_interval(
    scores: Array,
    statistic: Callable[[Array], Array],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval | None:
    """Return the stratified percentile interval of an aggregate.

    Args:
        scores: [seeds, tasks].
        statistic: [..., seeds, tasks] → [...].
        rng: where the resamples come from.
        resamples: how many.
        level: the interval's confidence.

    Returns:
        The interval; None for one seed, of which none can be had.
    """
    seeds, tasks = scores.shape
    if seeds == 1:
        return None
    drawn = rng.integers(seeds, size=(resamples, seeds, tasks))
    return percentile_interval(statistic(scores[drawn, np.arange(tasks)]), level)


def percentile_interval(values: Array, level: float = LEVEL) -> Interval:
    """Return the interval that `level` of the values [resamples] lie in, as much on either side outside."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def probability_of_improvement(method: Array, reference: Array) -> float:
    """Return the chance that a run of the method scores higher than one of the reference, over all tasks.

    (1/T) Σₜ [P(Xₜ > Yₜ) + ½·P(Xₜ = Yₜ)], each over all pairs of runs: Mann and Whitney's U as a share.

    Args:
        method: [seeds, tasks], higher is better.
        reference: [other seeds, tasks].
    """
    return float(_wins(method, reference).mean())


def improvement_interval(
    method: Array,
    reference: Array,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval | None:
    """Return the stratified percentile interval of the probability of improvement.

    Args:
        method: [seeds, tasks], higher is better.
        reference: [other seeds, tasks].
        rng: where the resamples come from.
        resamples: how many.
        level: the interval's confidence.

    Returns:
        The interval; None where one of the two has one seed.
    """
    if min(len(method), len(reference)) == 1:
        return None
    wins = _wins(method, reference).transpose(2, 0, 1)
    own, others = (_counts(len(scores), scores.shape[1], rng, resamples) for scores in (method, reference))
    pairs = len(method) * len(reference)
    return percentile_interval((((own @ wins) * others).sum(-1) / pairs).mean(0), level)


def performance_profile(
    scores: Array, thresholds: Array, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> tuple[Array, Array | None]:
    """Return the share of runs and tasks that score above each threshold, and its interval.

    Args:
        scores: [seeds, tasks].
        thresholds: [K].
        rng: where the resamples come from.
        resamples: how many.

    Returns:
        Shares [K], and the interval's ends [2, K]; None instead of these for one seed.
    """
    above = (scores[:, :, None] > thresholds).astype(np.float64)
    shares = above.mean((0, 1))
    seeds, tasks = scores.shape
    if seeds == 1:
        return shares, None
    drawn = (_counts(seeds, tasks, rng, resamples) @ above.transpose(1, 0, 2) / seeds).mean(0)
    return shares, np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)


def _wins(method: Array, reference: Array) -> Array:
    """Return who wins, 1 or 0 or a half, for each pair of runs and task: [seeds, other seeds, tasks]."""
    return (np.sign(method[:, None] - reference[None]) + 1) / 2


def _counts(seeds: int, tasks: int, rng: np.random.Generator, resamples: int) -> Array:
    """Return how often each seed is in each task's resample: [tasks, resamples, seeds]."""
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), (tasks, resamples)).astype(np.float64)
