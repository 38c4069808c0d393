from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rliable import library, metrics

from mtctl.analysis.bootstrap import (
    FEWEST_SEEDS,
    Array,
    bootstrap_interval,
    improvement_interval,
    interquartile_mean,
    mean_score,
    median_score,
    performance_profile,
    probability_of_improvement,
)

AGGREGATES = [
    (mean_score, metrics.aggregate_mean),
    (median_score, metrics.aggregate_median),
    (interquartile_mean, metrics.aggregate_iqm),
]
whole = st.integers(-300, 300).map(float)
scores = arrays.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=whole)


def sample(seeds: int, tasks: int, shift: float = 0.0) -> Array:
    """Return scores whose tasks differ by hundreds and whose seeds by tens."""
    rng = np.random.default_rng(seeds + 10 * tasks)
    return 100 * np.arange(tasks) + shift + 30 * rng.standard_normal((seeds, tasks))


@pytest.mark.parametrize(("ours", "theirs"), AGGREGATES)
@settings(deadline=None)
@given(values=scores)
def test_aggregates_are_rliables(ours: Any, theirs: Any, values: Array) -> None:
    assert ours(values) == pytest.approx(theirs(values), abs=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), AGGREGATES)
def test_aggregates_of_many_matrices_at_once(ours: Any, theirs: Any) -> None:
    many = np.stack([sample(5, 3, shift) for shift in (0.0, 7.0)])
    assert ours(many) == pytest.approx([theirs(each) for each in many])


@pytest.mark.parametrize(("ours", "theirs"), AGGREGATES)
def test_intervals_are_rliables(ours: Any, theirs: Any) -> None:
    """Both draw at random: the ends agree to a few hundredths of the interval's width."""
    values = sample(10, 3)
    np.random.seed(0)
    _, ends = library.get_interval_estimates({"a": values}, lambda x: np.array([theirs(x)]), reps=3000)
    found = bootstrap_interval(values, ours, 0)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(ends["a"].ravel(), abs=0.06 * (found.high - found.low))


@settings(deadline=None, max_examples=25)
@given(scores, st.floats(-1e3, 1e3))
def test_intervals_move_with_their_scores(values: Array, shift: float) -> None:
    before = bootstrap_interval(values, interquartile_mean, 0, resamples=200)
    after = bootstrap_interval(values + shift, interquartile_mean, 0, resamples=200)
    if len(values) < FEWEST_SEEDS:
        assert before is after is None
    else:
        assert before is not None
        assert after is not None
        assert after.low == pytest.approx(before.low + shift, abs=1e-6)
        assert values.min() <= before.low <= before.high <= values.max()


def test_a_seed_decides_an_interval() -> None:
    first, again = (bootstrap_interval(sample(5, 3), mean_score, 0) for _ in range(2))
    assert first == again
    assert bootstrap_interval(sample(5, 3), mean_score, 1) != first


@settings(deadline=None)
@given(scores, st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_probability_of_improvement_is_rliables(values: Array, others: int, random: Any) -> None:
    reference = np.array(
        [[random.choice([-50.0, 0.0, 50.0]) for _ in range(values.shape[1])] for _ in range(others)]
    )
    found = probability_of_improvement(values, reference)
    assert found == pytest.approx(metrics.probability_of_improvement(values, reference))
    assert found + probability_of_improvement(reference, values) == pytest.approx(1)
    assert probability_of_improvement(values, values) == pytest.approx(0.5)


def test_the_interval_of_improvement_is_rliables() -> None:
    method, reference = sample(8, 3, shift=15.0), sample(6, 3)
    np.random.seed(0)
    _, ends = library.get_interval_estimates(
        {"a,b": (method, reference)}, metrics.probability_of_improvement, reps=1500
    )
    found = improvement_interval(method, reference, 0)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(ends["a,b"].ravel(), abs=0.03)


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_have_no_interval(seeds: int) -> None:
    few, five = sample(seeds, 3), sample(5, 3)
    assert bootstrap_interval(few, mean_score, 0) is None
    assert improvement_interval(few, five, 0) is None
    assert improvement_interval(five, few, 0) is None
    assert performance_profile(few, np.zeros(1), 0)[1] is None


def test_profiles_are_rliables() -> None:
    values, thresholds = sample(10, 3), np.linspace(-100, 300, 21)
    np.random.seed(0)
    shares, ends = library.create_performance_profile({"a": values}, thresholds, reps=1500)
    found, interval = performance_profile(values, thresholds, 0)
    assert found == pytest.approx(shares["a"])
    assert interval == pytest.approx(ends["a"], abs=0.04)


@settings(deadline=None, max_examples=25)
@given(scores)
def test_a_profile_falls_from_all_to_none(values: Array) -> None:
    thresholds = np.linspace(values.min() - 1, values.max(), 7)
    shares, ends = performance_profile(values, thresholds, 0, resamples=50)
    assert shares[0] == 1
    assert shares[-1] == 0
    assert (np.diff(shares) <= 0).all()
    if ends is not None:
        assert ends.min() >= 0
        assert ends.max() <= 1
        assert (np.diff(ends, axis=0) >= 0).all()
