from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.errors import MtctlError
from mtctl.problems.windows.splits import COMMON_BARS, find_bases, split
from mtctl.problems.windows.windows import Floats, Integers

LENGTH = 12
SEEDS = st.integers(0, 2**32 - 1)


def series(days: int, seed: int = 0) -> Floats:
    """Return [days, 4] prices of which no bar is like another."""
    return np.random.default_rng(seed).permutation(4 * days).astype(float).reshape(days, 4) + 1


def cut(prices: Floats, starts: list[int]) -> Floats:
    return np.stack([prices[start : start + LENGTH] for start in starts])


def bases(bars: Floats) -> list[int]:
    return [int(base) for base in find_bases(bars, [None] * len(bars))]


@given(starts=st.lists(st.integers(0, 80), min_size=1, max_size=12), seed=SEEDS)
@settings(deadline=None)
def test_windows_of_one_series_share_a_base_where_and_only_where_a_chain_of_overlaps_joins_them(
    starts: list[int], seed: int
) -> None:
    found = bases(cut(series(100, seed), starts))
    for one, other in combinations(range(len(starts)), 2):
        if abs(starts[one] - starts[other]) <= LENGTH - COMMON_BARS:
            assert found[one] == found[other]
    # Along the series, a base ends where the next window starts too late to share 5 bars.
    ordered = sorted(set(starts))
    breaks = sum(late - early > LENGTH - COMMON_BARS for early, late in pairwise(ordered))
    assert len(set(found)) == breaks + 1


@given(starts=st.lists(st.integers(0, 80), min_size=1, max_size=12))
@settings(deadline=None)
def test_bases_are_numbered_in_the_order_in_which_they_occur(starts: list[int]) -> None:
    found = bases(cut(series(100), starts))
    assert list(dict.fromkeys(found)) == list(range(max(found) + 1))


@pytest.mark.parametrize(("common", "expected"), [(COMMON_BARS - 1, [0, 1]), (COMMON_BARS, [0, 0])])
def test_five_bars_make_an_overlap(common: int, expected: list[int]) -> None:
    assert bases(cut(series(40), [0, LENGTH - common])) == expected


def test_a_bar_is_the_same_only_if_all_four_prices_are() -> None:
    prices = series(LENGTH)
    for column in range(4):
        changed = prices.copy()
        changed[::COMMON_BARS, column] += 0.5
        assert bases(np.stack([prices, changed])) == [0, 1]


def test_bars_in_another_order_are_no_overlap() -> None:
    prices = series(LENGTH)
    assert bases(np.stack([prices, prices[::-1]])) == [0, 1]


def test_padding_joins_nothing() -> None:
    prices = series(3 * LENGTH)
    windows = cut(prices, [0, LENGTH, 2 * LENGTH])
    windows[:, :7] = prices[0]
    assert bases(windows) == [0, 1, 2]
    windows[1, 7], windows[2, 7] = windows[0, 7], windows[0, 8]
    assert bases(windows) == [0, 0, 1], "padding and the same bar after it are a run of bars in common"


def test_a_base_id_joins_windows_without_common_bars() -> None:
    windows = cut(series(80), [0, 15, 30, 45, 50])
    assert find_bases(windows, ["a", None, "a", "b", None]).tolist() == [0, 1, 0, 2, 2]


def test_overlaps_and_base_ids_form_one_chain() -> None:
    windows = cut(series(80), [0, 50, 3, 30])
    assert find_bases(windows, ["a", "a", None, None]).tolist() == [0, 0, 0, 1]


def test_windows_shorter_than_an_overlap_are_apart() -> None:
    assert bases(np.ones((2, COMMON_BARS - 1, 4))) == [0, 1]


BASES = st.lists(st.integers(0, 12), min_size=3, max_size=80).filter(lambda base: len(set(base)) > 2)
FRACTIONS = st.tuples(st.floats(0.01, 0.49), st.floats(0.01, 0.49))


def sizes(base: Integers) -> dict[int, int]:
    return {int(name): int((base == name).sum()) for name in np.unique(base)}


@given(names=BASES, fractions=FRACTIONS, seed=SEEDS)
def test_a_split_deals_out_every_window_and_tears_no_base(
    names: list[int], fractions: tuple[float, float], seed: int
) -> None:
    base = np.array(names)
    found = split(base, fractions, np.random.default_rng(seed))
    parts = (found.train, found.validation, found.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(names)))
    assert all(len(part) and (np.diff(part) > 0).all() and part.dtype == np.int64 for part in parts)
    for one, other in combinations(parts, 2):
        assert not set(base[one]) & set(base[other])


@given(names=BASES, fractions=FRACTIONS, seed=SEEDS)
def test_parts_are_near_their_shares(names: list[int], fractions: tuple[float, float], seed: int) -> None:
    base = np.array(names)
    found = split(base, fractions, np.random.default_rng(seed))
    left = sizes(base)
    for part, fraction, later in ((found.test, fractions[1], 2), (found.validation, fractions[0], 1)):
        taken = {name: left.pop(name) for name in set(base[part].tolist())}
        off = len(part) - fraction * len(names)
        # The base that was added last, to come nearer, is at most as large as any that was left.
        nearest = max(taken.values()) if off > 0 else min(left.values())
        all_but_the_last = off < 0 and len(left) == later
        only_one = off > 0 and len(taken) == 1 and len(part) <= min(left.values())
        assert abs(off) <= nearest / 2 or all_but_the_last or only_one


@given(
    count=st.integers(8, 40),
    size=st.integers(1, 5),
    fractions=st.tuples(*[st.floats(0.07, 0.4)] * 2),
    seed=SEEDS,
)
def test_bases_of_one_size_are_split_to_half_a_base(
    count: int, size: int, fractions: tuple[float, float], seed: int
) -> None:
    base = np.repeat(np.arange(count), size)
    found = split(base, fractions, np.random.default_rng(seed))
    for part, fraction in ((found.validation, fractions[0]), (found.test, fractions[1])):
        assert abs(len(part) - fraction * len(base)) <= size / 2 + 1e-9


@given(names=BASES, fractions=FRACTIONS, seed=SEEDS)
def test_a_split_follows_from_its_seed(names: list[int], fractions: tuple[float, float], seed: int) -> None:
    one, other = (split(np.array(names), fractions, np.random.default_rng(seed)) for _ in range(2))
    for part in ("train", "validation", "test"):
        assert getattr(one, part).tolist() == getattr(other, part).tolist()


def test_another_seed_splits_differently() -> None:
    tests = {tuple(split(np.arange(50), (0.2, 0.2), np.random.default_rng(seed)).test) for seed in range(5)}
    assert len(tests) == 5


def test_single_windows_are_split_to_the_window() -> None:
    found = split(np.arange(210), (0.15, 0.2), np.random.default_rng(0))
    assert (len(found.train), len(found.validation), len(found.test)) == (137, 31, 42)


@pytest.mark.parametrize(
    ("base", "phrase"),
    [
        ([], "0 windows of 0 base windows"),
        ([4] * 9, "9 windows of 1 base window"),
        ([0, 1, 1], "3 windows of 2 base windows"),
    ],
)
def test_too_few_bases_are_refused(base: list[int], phrase: str) -> None:
    with pytest.raises(MtctlError, match=f"^{phrase} cannot be split") as caught:
        split(np.array(base, dtype=np.int64), (0.2, 0.2), np.random.default_rng(0))
    assert "at least 3 base windows" in (caught.value.hint or "")


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (0.2, -0.1), (0.5, 0.5), (float("nan"), 0.2)])
def test_shares_that_leave_a_part_empty_are_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(MtctlError, match="cannot be split off"):
        split(np.arange(9), fractions, np.random.default_rng(0))
