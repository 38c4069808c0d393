from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from mtctl.analysis.tolerance import normal_factor, seeds_for_any_shape, tolerance

REPEATS = 2_000
Shape = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def confidence(k: float, n: int, share: float) -> float:
    """Return how often x̄ ± k·s holds the share, by scipy's distributions, quadrature and root finder."""

    def radius(centre: float) -> float:
        held = stats.norm.cdf
        return float(optimize.brentq(lambda r: held(centre + r) - held(centre - r) - share, 0, centre + 10))

    def at(error: float) -> float:
        outside = stats.chi2.sf((n - 1) * (radius(error / n**0.5) / k) ** 2, n - 1)
        return float(stats.norm.pdf(error) * outside)

    return 2 * float(integrate.quad(at, 0, 9, epsabs=1e-10)[0])


@pytest.mark.parametrize(("share", "level"), [(0.9, 0.95), (0.5, 0.9), (0.99, 0.95)])
@pytest.mark.parametrize("n", [2, 3, 5, 10, 45])
def test_the_factor_is_exact(n: int, share: float, level: float) -> None:
    assert confidence(normal_factor(n, share, level), n, share) == pytest.approx(level, abs=1e-9)


def test_the_factor_is_that_of_printed_tables() -> None:
    """To the three digits that tables of two-sided normal tolerance factors (0.90, 0.95) have."""
    assert [round(normal_factor(n), 3) for n in (5, 10, 20)] == [4.291, 2.856, 2.319]


@pytest.mark.parametrize(("share", "level", "fewest"), [(0.9, 0.95, 46), (0.95, 0.95, 93), (0.5, 0.9, 7)])
def test_so_many_runs_need_no_shape(share: float, level: float, fewest: int) -> None:
    assert seeds_for_any_shape(share, level) == fewest
    reached = [1 - n * share ** (n - 1) + (n - 1) * share**n for n in (fewest - 1, fewest)]
    assert reached[0] < level <= reached[1]


def normal(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=size)


def skewed(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return rng.exponential(size=size)


def two_humps(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Runs that land or collapse."""
    return rng.normal(size=size) + 20 * (rng.random(size) < 0.8)


CONTENTS: dict[Shape, Callable[[np.ndarray], np.ndarray]] = {
    normal: stats.norm.cdf,
    skewed: stats.expon.cdf,
    two_humps: lambda x: 0.2 * stats.norm.cdf(x) + 0.8 * stats.norm.cdf(x - 20),
}


def coverage(shape: Shape, n: int) -> float:
    """Return how often the interval of n runs holds nine tenths of all runs."""
    drawn = shape(np.random.default_rng(n), (REPEATS, n))
    found = [tolerance(row.tolist()) for row in drawn]
    ends = np.array([(each.interval.low, each.interval.high) for each in found if each is not None])
    content = CONTENTS[shape](ends[:, 1]) - CONTENTS[shape](ends[:, 0])
    return float((content >= 0.9).mean())


@pytest.mark.parametrize("n", [2, 3, 5, 10, 20])
def test_of_normal_runs_it_holds_as_many_as_it_says(n: int) -> None:
    """Of 2,000 intervals 95 ± 1.5 % hold nine tenths: three standard errors of the simulation."""
    assert coverage(normal, n) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("shape", CONTENTS)
@pytest.mark.parametrize("n", [46, 77, 120])
def test_with_enough_runs_it_holds_for_any_shape(shape: Shape, n: int) -> None:
    drawn = tolerance(shape(np.random.default_rng(0), (1, n))[0].tolist())
    assert drawn is not None
    assert drawn.any_shape
    assert coverage(shape, n) >= 0.95 - 0.015


def test_few_runs_of_another_shape_are_why_the_assumption_is_told() -> None:
    assert coverage(two_humps, 5) < 0.9


def test_more_runs_cut_outliers_off() -> None:
    runs = [float(each) for each in range(120)]
    found = tolerance(runs)
    assert found is not None
    assert (found.interval.low, found.interval.high) == (2.0, 117.0)
    assert stats.binom.sf(5, 120, 0.1) >= 0.95 > stats.binom.sf(7, 120, 0.1)


def test_one_run_says_nothing_and_equal_runs_are_one_place() -> None:
    assert tolerance([3.0]) is None
    same = tolerance([3.0, 3.0])
    assert same is not None
    assert (same.interval.low, same.interval.high, same.any_shape) == (3.0, 3.0, False)
