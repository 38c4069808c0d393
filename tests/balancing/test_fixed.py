"""Equal and manual weights."""

from __future__ import annotations

import re

import pytest

from mtctl.balancing.fixed import Equal, Manual
from tests.balancing.cases import drawn, seeded, signals


def test_equal_is_the_sum() -> None:
    weights, _ = Equal().weigh(signals(drawn(3, 2)), {}, seeded())
    assert weights.tolist() == [1.0, 1.0, 1.0]


def test_manual_weights_are_used_as_they_are() -> None:
    weights, _ = Manual((0.5, 0.0, 7.0)).weigh(signals(drawn(3, 2), active=[True, True, False]), {}, seeded())
    assert weights.tolist() == [0.5, 0.0, 0.0]


def test_a_wrong_number_of_weights_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("weights: expected one for each of 3 tasks, found 2")):
        Manual((1.0, 2.0)).init(3)
