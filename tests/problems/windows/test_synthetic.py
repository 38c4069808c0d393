from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.errors import MtctlError
from mtctl.problems.windows.synthetic import LAST_START, generate
from mtctl.problems.windows.targets import HORIZON, targets
from mtctl.problems.windows.windows import LENGTH, TYPES, Floats, LabelledWindows

MANY = 10_000
UNTIMED = settings(max_examples=50, deadline=None)


def made(count: int = 4, seed: int = 0, difficulty: float = 0.3) -> LabelledWindows:
    return generate(count, np.random.default_rng(seed), difficulty)


@pytest.fixture(scope="module")
def many() -> LabelledWindows:
    return made(MANY)


def huber(error: Floats) -> Floats:
    size = np.abs(error)
    return np.where(size < 1, size**2 / 2, size - 0.5)


def same(one: LabelledWindows, other: LabelledWindows) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(LabelledWindows)
    )


class TestPublishedStatistics:
    def test_starts_and_lengths(self, many: LabelledWindows) -> None:
        assert many.start.mean() == pytest.approx(50, abs=0.8)
        assert np.median(many.end - many.start) == 5
        assert np.bincount(many.label) / MANY == pytest.approx([0.5, 0.5], abs=0.02)

    def test_starts_leave_room_for_what_comes_before_and_after(self, many: LabelledWindows) -> None:
        assert many.start.min() >= HORIZON
        assert many.start.max() == LAST_START
        assert many.end.max() < LENGTH

    def test_predicting_zero_costs_what_was_published(self, many: LabelledWindows) -> None:
        """Every start with 20 bars on both sides costs the same: (2·(1 + … + 19) + 66·20 − 104/2)/105."""
        countdown = targets(many).countdown.astype(np.float64)
        assert huber(countdown).mean() == pytest.approx((380 + 1320 - 52) / 105, abs=1e-9)

    def test_a_constant_gains_next_to_nothing(self, many: LabelledWindows) -> None:
        """The best one is the median, and starts at bar 50 split the bars almost evenly."""
        countdown = targets(many).countdown.astype(np.float64)
        best = min(huber(countdown - constant).mean() for constant in range(-HORIZON, HORIZON + 1))
        assert 15.55 < best < 15.69

    def test_knowing_the_position_alone_is_worth_much(self, many: LabelledWindows) -> None:
        countdown = targets(many).countdown.astype(np.float64)
        assert 5.5 < huber(countdown - np.median(countdown, axis=0)).mean() < 10.6


class TestPrices:
    @UNTIMED
    @given(seed=st.integers(0, 2**32), difficulty=st.floats(0, 1), count=st.integers(0, 20))
    def test_bars_are_bars(self, seed: int, difficulty: float, count: int) -> None:
        windows = made(count, seed, difficulty)
        opened, high, low, closed = np.moveaxis(windows.bars, -1, 0)
        assert len(windows) == len(opened) == count
        assert (low > 0).all()
        assert (low <= np.minimum(opened, closed)).all()
        assert (high >= np.maximum(opened, closed)).all()
        assert np.array_equal(opened[:, 1:], closed[:, :-1])

    def test_volatility_clusters_but_does_not_drift(self) -> None:
        """Large moves follow large ones, moves themselves do not repeat, and all bars are alike."""
        closed = np.log(made(MANY, difficulty=1).bars[..., 3])
        moves = np.diff(closed, axis=1)
        size = np.abs(moves)
        assert np.corrcoef(size[:, :-1].ravel(), size[:, 1:].ravel())[0, 1] > 0.05
        assert abs(np.corrcoef(moves[:, :-1].ravel(), moves[:, 1:].ravel())[0, 1]) < 0.005
        assert size[:, -20:].mean() / size[:, :20].mean() == pytest.approx(1, abs=0.01)

    def test_expansions_are_runs_in_one_direction(self) -> None:
        windows = made(500, difficulty=0)
        body = windows.bars[..., 3] - windows.bars[..., 0]
        inside = targets(windows).binary == 1
        ups = ((body > 0) & inside).sum(axis=1) / inside.sum(axis=1)
        assert np.isin(ups, (0, 1)).mean() > 0.99
        assert (ups > 0.5).mean() == pytest.approx(0.5, abs=0.1)

    def test_what_comes_before_is_quiet_or_goes_the_other_way(self) -> None:
        windows = made(500, difficulty=0)
        rows, lead = np.arange(500), 12
        log = np.log(windows.bars)
        back = log[rows, windows.start, 0] - log[rows, windows.start - lead, 0]
        forth = log[rows, windows.end, 3] - log[rows, windows.start, 0]
        retraces = windows.label == TYPES.index("retracement")
        assert (np.sign(back) == -np.sign(forth))[retraces].mean() > 0.99
        assert (np.abs(back) < 0.05 * np.abs(forth))[~retraces].mean() > 0.9

    def test_the_hardest_windows_tell_nothing(self) -> None:
        """Neither where the expansion is nor what came before it changes how far prices move."""
        windows = made(2000, difficulty=1)
        size = np.abs(np.diff(np.log(windows.bars[..., 3]), axis=1, prepend=np.nan))
        inside = targets(windows).binary == 1
        assert size[inside].mean() / np.nanmean(size) == pytest.approx(1, abs=0.03)
        before = np.nanmean(size[:, :20], axis=1)
        labels = [before[windows.label == label].mean() for label in range(len(TYPES))]
        assert labels[0] / labels[1] == pytest.approx(1, abs=0.05)

    def test_harder_windows_show_less(self) -> None:
        contrasts = []
        for difficulty in (0, 0.3, 0.6, 0.9, 1):
            windows = made(500, difficulty=difficulty)
            size = np.abs(np.log(windows.bars[..., 3] / windows.bars[..., 0]))
            inside = targets(windows).binary == 1
            contrasts.append(size[inside].mean() / size[~inside].mean())
        assert contrasts == sorted(contrasts, reverse=True)
        assert contrasts[1] > 4


def test_a_generator_decides_everything() -> None:
    assert same(made(20, seed=7), made(20, seed=7))
    assert not same(made(20, seed=7), made(20, seed=8))


def test_windows_share_nothing() -> None:
    windows = made(20)
    assert len(set(windows.ids)) == len(set(windows.base.tolist())) == 20


@pytest.mark.parametrize("difficulty", [-0.1, 1.1, float("nan")])
def test_difficulty_is_a_share(difficulty: float) -> None:
    with pytest.raises(MtctlError, match=f"`difficulty` is {difficulty}"):
        made(difficulty=difficulty)


@UNTIMED
@given(indices=st.lists(st.integers(0, 5), max_size=8))
def test_taking_windows(indices: list[int]) -> None:
    windows = made(6)
    taken = windows.take(indices)
    assert len(taken) == len(indices)
    for row, index in enumerate(indices):
        assert same(taken.take([row]), windows.take([index]))
        assert taken.ids[row] == windows.ids[index]
        assert taken.start[row] == windows.start[index]
        assert np.array_equal(taken.bars[row], windows.bars[index])


def _with(column: str, row: int, value: Any) -> Callable[[LabelledWindows], LabelledWindows]:
    def change(windows: LabelledWindows) -> LabelledWindows:
        array = getattr(windows, column).copy()
        array[row] = value
        return replace(windows, **{column: array})

    return change


def _with_price(row: int, bar: int, price: int, value: float) -> Callable[[LabelledWindows], LabelledWindows]:
    def change(windows: LabelledWindows) -> LabelledWindows:
        bars = windows.bars.copy()
        bars[row, bar, price] = value
        return replace(windows, bars=bars)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with("label", 2, 2), r"window `synthetic-00002`: `label` is 2"),
        (_with("label", 2, -1), r"window `synthetic-00002`: `label` is -1"),
        (_with("start", 1, -1), r"window `synthetic-00001`: `start` is -1"),
        (_with("start", 1, 105), r"window `synthetic-00001`: `start` is 105"),
        (_with("end", 3, 19), r"window `synthetic-00003`: `end` is 19"),
        (_with("end", 3, 105), r"window `synthetic-00003`: `end` is 105"),
        (_with_price(1, 30, 0, float("nan")), r"window `synthetic-00001`, bar 30: open nan, high"),
        (_with_price(1, 30, 1, 0.1), r"window `synthetic-00001`, bar 30: open .*, high 0\.1, low"),
        (_with_price(1, 30, 1, float("inf")), r"bar 30: open .*, high inf, low"),
        (_with_price(1, 30, 2, 1e6), r"bar 30: open .*, low 1e\+06, close"),
        (_with_price(0, 0, 2, 0.0), r"window `synthetic-00000`, bar 0: .*, low 0, close"),
        (
            lambda windows: replace(windows, bars=windows.bars[:, :100]),
            r"4 windows have the shape \(4, 100, 4\)",
        ),
        (
            lambda windows: replace(windows, base=windows.base[:2]),
            r"`base` of 4 windows has the shape \(2,\)",
        ),
    ],
)
def test_mistakes_are_named(change: Callable[[LabelledWindows], LabelledWindows], message: str) -> None:
    with pytest.raises(MtctlError, match=message):
        change(made())
