from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mtctl.problems.windows.features import LIMIT, NAMES, WING, features
from mtctl.problems.windows.synthetic import generate
from mtctl.problems.windows.windows import LENGTH, Floats

UNTIMED = settings(max_examples=50, deadline=None)


def bars_of(draws: Floats) -> Floats:
    """Return bars whose four prices are the given ones, sorted so that they make a bar."""
    low, one, other, high = np.moveaxis(np.sort(draws, axis=-1), -1, 0)
    rises = draws[..., 0] < draws[..., 1]
    return np.stack([np.where(rises, one, other), high, low, np.where(rises, other, one)], axis=-1)


PRICES = st.one_of(
    st.floats(1e-6, 1e6),
    st.sampled_from([1.0, 1.0 + 2**-52, 1.25, 2.0]),  # ties, and differences down to rounding
)
BARS = arrays(np.float64, (2, LENGTH, 4), elements=PRICES).map(bars_of)
NUMBERS = st.integers(0, 2**32)


def made(count: int = 4, seed: int = 0) -> Floats:
    return generate(count, np.random.default_rng(seed)).bars


def column(bars: Floats, name: str) -> Floats:
    found = features(bars)[..., NAMES.index(name)]
    return found.astype(np.float64)


def flat(price: float = 7.3) -> Floats:
    return np.full((1, LENGTH, 4), price)


def zigzag() -> Floats:
    """Return bars of range 2 around a centre that rises to bar 10, falls to bar 20, then rises for good."""
    bar = np.arange(LENGTH)
    center = 100.0 + np.where(bar <= 10, bar, np.where(bar <= 20, 20 - bar, bar - 20))
    return np.stack([center - 0.5, center + 1, center - 1, center + 0.5], axis=-1)[None]


@UNTIMED
@given(bars=BARS)
def test_finite_and_of_order_one_for_any_bars(bars: Floats) -> None:
    found = features(bars, position=True)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= LIMIT


@UNTIMED
@given(seed=NUMBERS, bar=st.integers(0, LENGTH - 1), other=BARS)
def test_a_bar_sees_no_later_bar(seed: int, bar: int, other: Floats) -> None:
    bars = made(2, seed)
    changed = bars.copy()
    changed[:, bar + 1 :] = other[:, bar + 1 :]
    before, after = features(bars, position=True), features(changed, position=True)
    assert np.array_equal(before[:, : bar + 1], after[:, : bar + 1])


@UNTIMED
@given(seed=NUMBERS, power=st.integers(-900, 900))
def test_the_unit_of_the_price_does_not_matter(seed: int, power: int) -> None:
    bars = made(2, seed)
    assert np.array_equal(features(bars), features(bars * 2.0**power))


@UNTIMED
@given(seed=NUMBERS)
def test_windows_do_not_see_each_other(seed: int) -> None:
    bars = made(4, seed)
    assert np.array_equal(features(bars)[2:3], features(bars[2:3]))


@UNTIMED
@given(seed=NUMBERS)
def test_a_mirrored_market_mirrors_the_features(seed: int) -> None:
    """Up and down are treated alike: 2 − p in place of p swaps highs with lows and turns signs."""
    bars = 1 + 1e-3 * np.log(made(2, seed) / made(2, seed)[:, :1, :1])
    mirrored = (2 - bars)[..., [0, 2, 1, 3]]
    found = dict(zip(NAMES, np.moveaxis(features(bars), -1, 0), strict=True))
    seen = dict(zip(NAMES, np.moveaxis(features(mirrored), -1, 0), strict=True))
    for name in ("open_norm", "close_norm", "body_pct"):
        assert seen[name] == pytest.approx(-found[name], abs=1e-4)
    for name in ("range_z", "expansion_proxy", "consolidation_proxy"):
        assert seen[name] == pytest.approx(found[name], abs=1e-4)
    assert seen["upper_wick_pct"] == pytest.approx(found["lower_wick_pct"], abs=1e-4)
    assert seen["swing_low_distance"] == pytest.approx(-found["swing_high_distance"], abs=1e-4)
    assert seen["swing_low_bars"] == pytest.approx(found["swing_high_bars"], abs=1e-4)


def test_a_market_that_stands_still_is_all_zeros() -> None:
    found = dict(zip(NAMES, np.moveaxis(features(flat()), -1, 0), strict=True))
    assert (found.pop("consolidation_proxy") == 1).all()
    for name in ("swing_high_bars", "swing_low_bars"):
        assert found.pop(name)[0] == pytest.approx(np.log1p(np.arange(LENGTH)) / np.log(LENGTH), rel=1e-6)
    assert all((values == 0).all() for values in found.values())


def test_shape_of_a_bar() -> None:
    bars = flat(10.0)
    bars[0, 50] = (10.0, 14.0, 9.0, 12.0)
    shape = {name: column(bars, name)[0, 50] for name in ("body_pct", "upper_wick_pct", "lower_wick_pct")}
    assert shape == pytest.approx({"body_pct": 0.4, "upper_wick_pct": 0.4, "lower_wick_pct": 0.2})


def test_a_wide_bar_stands_out() -> None:
    """After 50 ranges that alternate between 1 and 3: mean 2, deviation 1."""
    bars = flat(10.0)
    bars[0, :, 1] += np.where(np.arange(LENGTH) % 2, 3.0, 1.0)
    bars[0, 50, 1] = 16.0
    ranges = np.array([3.0, 1.0] * 25 + [6.0])
    expected = (6 - ranges.mean()) / ranges.std()
    assert column(bars, "range_z")[0, 50] == pytest.approx(expected, rel=1e-5)
    assert column(bars, "range_z")[0, 49] == pytest.approx(1.0, abs=0.05)


def test_rounding_of_equal_ranges_is_no_deviation() -> None:
    bars = 0.1 * zigzag() + 1 / 3
    assert np.ptp(bars[..., 1] - bars[..., 2]) > 0
    assert (column(bars, "range_z") == 0).all()


def test_swings_are_known_three_bars_later() -> None:
    bars = zigzag()
    distance, age = column(bars, "swing_high_distance")[0], column(bars, "swing_high_bars")[0]
    for bar in range(10 + WING, LENGTH):
        assert np.expm1(age[bar] * np.log(LENGTH)) == pytest.approx(bar - 10, abs=1e-3)
    close = bars[0, :, 3]
    reach = bars[0, 11:31, 1].max() - bars[0, 11:31, 2].min()
    assert distance[30] == pytest.approx((111 - close[30]) / reach, rel=1e-5)
    low_age = np.expm1(column(bars, "swing_low_bars")[0] * np.log(LENGTH))
    assert low_age[20 + WING - 1] == pytest.approx(22, abs=1e-3)
    assert low_age[20 + WING] == pytest.approx(3, abs=1e-3)


def test_wide_bars_along_their_leg_count_for_an_expansion() -> None:
    bars = zigzag()
    bars[0, 60] += np.array([-1.0, 2.0, -2.0, 1.0])
    assert column(bars, "expansion_proxy")[0, 60] > 1
    bars[0, 60] = bars[0, 60, [3, 1, 2, 0]]
    assert column(bars, "expansion_proxy")[0, 60] < -1


def test_a_narrow_stretch_after_a_wide_one_is_a_consolidation() -> None:
    """Each bar has a range of 2 and is 1 above the last, up to bar 39, at which all later ones stay."""
    bars = zigzag()
    bars[0, 40:] = bars[0, 39]
    proxy = column(bars, "consolidation_proxy")[0]
    assert proxy[[39, 45, 46, 58]] == pytest.approx([1 - 9 / 21, 1 - 3 / 15, 1 - 2 / 14, 0], abs=1e-5)


def test_where_the_window_began() -> None:
    """Ranges of 2 throughout: 10 of them are 20."""
    norm = column(zigzag(), "close_norm")[0]
    assert norm[[0, 10, 20, 100]] == pytest.approx([0.05, 0.55, 0.05, 4.0 + 0.05], abs=0.06)


def test_names_and_shape() -> None:
    plain, positioned = features(made()), features(made(), position=True)
    assert plain.shape == (4, LENGTH, len(NAMES)) == (4, LENGTH, 12)
    assert positioned.shape == (4, LENGTH, 13)
    assert plain.dtype == positioned.dtype == np.float32
    assert np.array_equal(positioned[..., :12], plain)
    assert positioned[2, :, 12] == pytest.approx(np.linspace(0, 1, LENGTH))
