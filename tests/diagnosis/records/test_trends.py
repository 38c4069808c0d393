"""Noise, trends and courses of curves, and how often a healthy one is called otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtctl.diagnosis.records.losses import task_state
from mtctl.diagnosis.records.trends import (
    BLOCKS,
    blocks,
    course,
    mann_kendall,
    noise,
    relative,
    theil_sen,
    trend,
)

CURVES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


def test_the_rank_test_is_kendalls() -> None:
    values = np.random.default_rng(0).normal(size=40) - 0.02 * np.arange(40)
    tau, p = stats.kendalltau(np.arange(40), values, method="asymptotic")
    assert np.sign(mann_kendall(values)) == np.sign(tau)
    assert 2 * stats.norm.sf(abs(mann_kendall(values))) == pytest.approx(p, rel=0.05)


def test_ties_are_no_trend() -> None:
    assert mann_kendall(np.ones(20)) == 0
    assert trend(np.ones(20)) is not None
    assert course(np.ones(20)).direction == "level"


def test_the_fitted_line_is_theil_sens() -> None:
    values = np.array([5.0, 4.2, 3.1, 9.0, 1.2, 0.3, -0.8])
    slope, start = theil_sen(values)
    assert slope == pytest.approx(stats.theilslopes(values).slope)
    assert start == pytest.approx(np.median(values - slope * np.arange(7)))


def test_noise_is_measured_around_a_line() -> None:
    rng = np.random.default_rng(1)
    assert noise(3 - 0.1 * np.arange(2000) + 0.5 * rng.normal(size=2000)) == pytest.approx(0.5, rel=0.1)
    assert noise(np.array([1.0, 2.0])) == 0


@given(CURVES)
def test_blocks_keep_the_sum(values: list[float]) -> None:
    means = blocks(values)
    assert len(means) == min(len(values), BLOCKS)
    if len(values) % BLOCKS == 0:
        assert means.mean() == pytest.approx(np.mean(values), abs=1e-3)


@given(CURVES)
def test_figures_of_any_curve_are_finite(values: list[float]) -> None:
    found, tail = course(values), trend(values)
    assert np.isfinite([found.first, found.last, found.noise, found.change]).all()
    assert (tail is None) == (len(values) < 5)
    assert tail is None or np.isfinite([tail.change, tail.z]).all()


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_relative_change_has_the_sign_of_the_difference(first: float, last: float) -> None:
    assert np.sign(relative(first, last)) == pytest.approx(np.sign(last - first))


def test_a_curve_that_falls_at_once_and_stays_has_moved() -> None:
    values = 1 + 0.01 * np.random.default_rng(2).normal(size=60)
    values[0] = 3
    assert course(values).direction == "falling"


def test_steadily_falling_noisy_curves_are_hardly_ever_called_otherwise() -> None:
    """400 curves of several lengths that lose 60 %, with 15 % noise that lasts over neighbours."""
    rng = np.random.default_rng(3)
    called: list[str] = []
    for length in (20, 60, 300, 2000):
        falls = np.exp(-0.9 * np.linspace(0, 1, length))
        for _ in range(100):
            white = rng.normal(size=length)
            lasting = np.convolve(white, [0.6, 0.4, 0.2], mode="same")
            called.append(task_state("a", falls * (1 + 0.15 * lasting)).state)
    assert called.count("flat") + called.count("diverged") <= 2
    assert called.count("learns") >= 396


def test_trendless_noise_is_rarely_called_a_trend() -> None:
    rng = np.random.default_rng(4)
    tails = [trend(5 + rng.normal(size=90)) for _ in range(400)]
    moved = sum(tail is not None and tail.direction != "level" for tail in tails)
    assert moved <= 40  # 5 % of 400 are 20
    courses = [course(5 + rng.normal(size=90)) for _ in range(400)]
    assert sum(each.direction != "level" for each in courses) <= 40
