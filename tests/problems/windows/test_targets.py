from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.problems.windows.synthetic import generate
from mtctl.problems.windows.targets import Targets, targets
from mtctl.problems.windows.windows import LENGTH, LabelledWindows

SPANS = st.lists(st.integers(0, LENGTH - 1), min_size=2, max_size=2).map(sorted)
UNTIMED = settings(max_examples=50, deadline=None)


def windows(spans: list[list[int]]) -> LabelledWindows:
    made = generate(len(spans), np.random.default_rng(0))
    start, end = np.array(spans, dtype=np.int64).T
    return replace(made, start=start, end=end)


def of(start: int, end: int) -> Targets:
    return targets(windows([[start, end]]))


def test_worked_example() -> None:
    found = of(50, 55)
    assert found.ptr == pytest.approx(np.array([[0.5, 5 / 105]]), abs=1e-7)
    assert np.flatnonzero(found.binary[0]).tolist() == [50, 51, 52, 53, 54, 55]
    assert found.countdown[0, 28:33].tolist() == [20, 20, 20, 19, 18]
    assert found.countdown[0, 49:52].tolist() == [1, 0, -1]
    assert found.countdown[0, 68:73].tolist() == [-18, -19, -20, -20, -20]


@pytest.mark.parametrize(("start", "end"), [(0, 0), (104, 104), (0, 104)])
def test_expansions_at_the_edges(start: int, end: int) -> None:
    found = of(start, end)
    assert found.binary.sum() == end - start + 1
    assert found.countdown[0, start] == 0
    assert found.ptr[0].tolist() == pytest.approx([(start + end) / 210, (end - start) / 105])


@UNTIMED
@given(spans=st.lists(SPANS, min_size=1, max_size=6))
def test_every_target_tells_the_same_expansion(spans: list[list[int]]) -> None:
    given_windows = windows(spans)
    found = targets(given_windows)
    for row, (start, end) in enumerate(spans):
        center, length = found.ptr[row].astype(float) * LENGTH
        assert center - length / 2 == pytest.approx(start, abs=1e-4)
        assert center + length / 2 == pytest.approx(end, abs=1e-4)
        assert np.flatnonzero(found.binary[row]).tolist() == list(range(start, end + 1))
        assert np.flatnonzero(found.countdown[row] == 0).tolist() == [start]
    assert np.array_equal(found.type, given_windows.label)
    assert np.abs(found.countdown).max() <= 20
    assert np.isin(np.diff(found.countdown), (0, -1)).all()


def test_shapes_and_types() -> None:
    found = targets(generate(3, np.random.default_rng(0)))
    assert found.type.shape == (3,)
    assert found.type.dtype == np.int64
    for array, shape in ((found.ptr, (3, 2)), (found.binary, (3, 105)), (found.countdown, (3, 105))):
        assert array.shape == shape
        assert array.dtype == np.float32
