from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mtctl.statistics import (
    Noise,
    estimate,
    mean_of,
    t_quantile,
    welch_interval,
    wilson_interval,
)

samples = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 5, 9, 10, 49, 99, 100, 999])
@pytest.mark.parametrize("probability", [0.025, 0.5, 0.6, 0.9, 0.975, 0.995])
def test_t_quantile_is_scipys(probability: float, dof: int) -> None:
    assert t_quantile(probability, dof) == pytest.approx(stats.t.ppf(probability, dof), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("probability", "dof"), [(0.0, 3), (1.0, 3), (0.975, 0)])
def test_t_quantile_refuses_what_is_no_quantile(probability: float, dof: int) -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(probability, dof)


def test_estimate_pinned() -> None:
    found = estimate([228.0, 100.0, 194.0])
    assert (found.n, found.mean) == (3, 174.0)
    assert found.sd == pytest.approx(66.3023378169)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(9.2958622516)
    assert found.half_width == pytest.approx(164.7041377484)


@settings(deadline=None)
@given(samples)
def test_estimate_is_scipys(values: list[float]) -> None:
    found = estimate(values)
    assert found.interval is not None
    assert found.sd is not None
    error = stats.sem(values)
    assert found.sd == pytest.approx(statistics.stdev(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=0.0, scale=1.0)
    assert found.interval.low == pytest.approx(found.mean + low * error, abs=1e-6)
    assert found.interval.high == pytest.approx(found.mean + high * error, abs=1e-6)


@settings(deadline=None)
@given(samples, st.floats(-1e6, 1e6))
def test_estimate_moves_with_its_values(values: list[float], shift: float) -> None:
    before, after = estimate(values), estimate([value + shift for value in values])
    assert after.mean == pytest.approx(before.mean + shift, abs=1e-6)
    assert after.half_width == pytest.approx(before.half_width, rel=1e-6, abs=1e-6)


def test_one_value_has_no_interval() -> None:
    found = estimate([220.3])
    assert (found.n, found.mean) == (1, 220.3)
    assert (found.sd, found.interval, found.half_width) == (None, None, None)


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = estimate([5.0, 5.0, 5.0])
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (5.0, 5.0)


def test_no_values_have_no_mean() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_of([])


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, trials = counts
    found = wilson_interval(successes, trials)
    reference = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert 0 <= found.low <= successes / trials <= found.high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses_what_is_no_rate(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        wilson_interval(successes, trials)


def test_welchs_interval_of_two_samples_with_whole_degrees_of_freedom() -> None:
    """Equal sizes and deviations: 2(n − 1) degrees of freedom, as in Student's own test."""
    noise = Noise(4.0 / 10, 9)
    found = welch_interval(1.0, [noise, noise])
    half = stats.t.ppf(0.975, 18) * math.sqrt(0.8)
    assert [found.low, found.high] == pytest.approx([1 - half, 1 + half])
    without = welch_interval(1.0, [Noise(0.0, 4), Noise(0.0, 1)])
    assert (without.low, without.high) == (1.0, 1.0)
    tiny = welch_interval(0.0, [Noise(1e-200, 3), Noise(1e-200, 3)])
    assert 0 < tiny.high < 1e-99


spreads = st.tuples(st.floats(1e-3, 1e3), st.integers(2, 200))


@settings(deadline=None)
@given(spreads, spreads)
def test_welchs_interval_holds_what_scipys_test_does_not_refute(
    first: tuple[float, int], second: tuple[float, int]
) -> None:
    """Where its end is, their p value is 5 %; less for degrees of freedom that were rounded down."""
    noises = [Noise(sd**2 / n, n - 1) for sd, n in (first, second)]
    end = welch_interval(0.0, noises).high
    theirs = stats.ttest_ind_from_stats(end, *first, 0.0, *second, equal_var=False)
    assert 0.0 < theirs.pvalue <= 0.05 * (1 + 1e-9)
