"""Aggregates over seeds and tasks with bootstrap intervals, as the literature on few runs asks for them.

Scores are matrices [seeds, tasks]. Resampling is stratified: each task's seeds are drawn with replacement,
apart from the other tasks' seeds. Tasks that share a network are not independent, so that for them these
intervals describe the tasks at hand and do not decide; verdicts come from differences paired by seed.

Source: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtctl.statistics import LEVEL, Interval

Array: TypeAlias = NDArray[np.float64]
RESAMPLES = 2_000
"""Ends of an interval then move by one or two hundredths of its width from one generator to another."""
FEWEST_SEEDS = 3
"""Below, resamples of two values are three different ones, and their interval describes nothing."""
_TRIMMED = 0.25
_ENDS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]


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
    scores: Array, statistic: Callable[[Array], Array], seed: int, *, resamples: int = RESAMPLES
) -> Interval | None:
    """Return the stratified percentile interval of an aggregate.

    Args:
        scores: [seeds, tasks].
        statistic: [..., seeds, tasks] → [...].
        seed: of the generator that draws the resamples: for all matrices of one shape the same ones.
        resamples: how many.

    Returns:
        The interval; None below `FEWEST_SEEDS`.
    """
    drawn = resampled(scores, seed, resamples)
    return None if drawn is None else percentile_interval(statistic(drawn))


def resampled(scores: Array, seed: int, resamples: int = RESAMPLES) -> Array | None:
    """Return stratified resamples of scores [seeds, tasks]: [resamples, seeds, tasks].

    None below `FEWEST_SEEDS`.
    """
    seeds, tasks = scores.shape
    if seeds < FEWEST_SEEDS:
        return None
    return scores[_draws(seed, resamples, seeds, tasks), np.arange(tasks)]


def percentile_interval(values: Array) -> Interval:
    """Return the interval that `LEVEL` of the values [resamples] lie in, as much on either side outside."""
    low, high = np.quantile(values, _ENDS)
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
    method: Array, reference: Array, seed: int, *, resamples: int = RESAMPLES
) -> Interval | None:
    """Return the stratified percentile interval of the probability of improvement.

    Args:
        method: [seeds, tasks], higher is better.
        reference: [other seeds, tasks].
        seed: of the generator that draws the resamples.
        resamples: how many.

    Returns:
        The interval; None where one of the two has fewer than `FEWEST_SEEDS`.
    """
    if min(len(method), len(reference)) < FEWEST_SEEDS:
        return None
    wins = _wins(method, reference).transpose(2, 0, 1)
    own, others = _counts(seed, resamples, (len(method), len(reference)), method.shape[1])
    pairs = len(method) * len(reference)
    return percentile_interval((((own @ wins) * others).sum(-1) / pairs).mean(0))


def performance_profile(
    scores: Array, thresholds: Array, seed: int, *, resamples: int = RESAMPLES
) -> tuple[Array, Array | None]:
    """Return the share of runs and tasks that score above each threshold, and its interval.

    Args:
        scores: [seeds, tasks].
        thresholds: [K].
        seed: of the generator that draws the resamples.
        resamples: how many.

    Returns:
        Shares [K], and the interval's ends [2, K]; None instead of these below `FEWEST_SEEDS`.
    """
    above = (scores[:, :, None] > thresholds).astype(np.float64)
    shares = above.mean((0, 1))
    seeds, tasks = scores.shape
    if seeds < FEWEST_SEEDS:
        return shares, None
    (counts,) = _counts(seed, resamples, (seeds,), tasks)
    return shares, np.quantile((counts @ above.transpose(1, 0, 2) / seeds).mean(0), _ENDS, axis=0)


def _wins(method: Array, reference: Array) -> Array:
    """Return who wins, 1 or 0 or a half, for each pair of runs and task: [seeds, other seeds, tasks]."""
    return (np.sign(method[:, None] - reference[None]) + 1) / 2


@lru_cache(maxsize=4)
def _draws(seed: int, resamples: int, seeds: int, tasks: int) -> NDArray[np.int64]:
    """Return which seeds are in each task's resample: [resamples, seeds, tasks]."""
    return np.random.default_rng(seed).integers(seeds, size=(resamples, seeds, tasks))


@lru_cache(maxsize=4)
def _counts(seed: int, resamples: int, seeds: tuple[int, ...], tasks: int) -> tuple[Array, ...]:
    """Return how often each seed is in each task's resample, for each method: [tasks, resamples, seeds]."""
    rng = np.random.default_rng(seed)
    return tuple(
        rng.multinomial(count, np.full(count, 1 / count), (tasks, resamples)).astype(np.float64)
        for count in seeds
    )
