"""Scores on one scale for all tasks, and performance profiles over them.

Source: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mtctl.analysis.bootstrap import Array, performance_profile
from mtctl.analysis.comparison import SEED, Comparison

_QUARTERS: Final = (0.25, 0.5, 0.75)
_ALIKE: Final = 0.5
"""Normalised score of a task on which all compared runs score the same."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The share of a method's runs and tasks that score above each threshold.

    Args:
        shares: [K].
        ends: of the stratified bootstrap intervals, [2, K]; None below three seeds.
    """

    shares: Array
    ends: Array | None


def worst_and_best(comparison: Comparison) -> Array:
    """Return the worst and the best score that any compared run has on each task: [2, tasks]."""
    scores = np.concatenate([np.array(method.matrix) for method in comparison.methods])
    ends = np.array([scores.min(0), scores.max(0)])
    return ends if comparison.score.higher_is_better else ends[::-1]


def normalised_scores(comparison: Comparison) -> dict[str, Array]:
    """Return each method's scores by its label, [seeds, tasks], normalised task by task.

    (x − worst) / (best − worst) over all compared runs: 0 is the worst, 1 the best, higher is better whatever
    the score's direction. They tell methods of one comparison apart, and mean nothing beside another's.
    """
    worst, best = worst_and_best(comparison)
    span = np.where(best == worst, 1.0, best - worst)
    return {
        method.label: np.where(best == worst, _ALIKE, (np.array(method.matrix) - worst) / span)
        for method in comparison.methods
    }


def quartiles(comparison: Comparison) -> Array:
    """Return the thresholds that a quarter, a half and three quarters of all normalised scores are below."""
    scores = [each.ravel() for each in normalised_scores(comparison).values()]
    return np.asarray(np.quantile(np.concatenate(scores), _QUARTERS))


def profiles(comparison: Comparison, thresholds: Array) -> dict[str, Profile]:
    """Return each method's performance profile by its label.

    Args:
        comparison: of the methods.
        thresholds: normalised scores τ, [K].
    """
    scores = normalised_scores(comparison)
    return {label: Profile(*performance_profile(each, thresholds, SEED)) for label, each in scores.items()}
