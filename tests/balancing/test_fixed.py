"""Equal and manual weights."""

from __future__ import annotations

from mtctl.balancing.fixed import Equal, Manual
from tests.balancing.cases import by_task, drawn, seeded, signals


def test_equal_is_the_sum() -> None:
    weights, _ = Equal().weigh(signals(drawn(3, 2)), {}, seeded())
    assert weights.tolist() == [1.0, 1.0, 1.0]


def test_manual_weights_are_used_as_they_are() -> None:
    weights, _ = Manual(weights=by_task((0.5, 0.0, 7.0))).weigh(
        signals(drawn(3, 2), active=[True, True, False]), {}, seeded()
    )
    assert weights.tolist() == [0.5, 0.0, 0.0]
