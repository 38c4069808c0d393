from __future__ import annotations

import gc

import numpy as np
import pytest

from mtctl.measuring.timing import Spread, Timings, interleave


def test_every_side_runs_in_every_block_and_takes_turns_to_be_first() -> None:
    seen: list[tuple[str, int]] = []
    sides = {name: lambda calls, name=name: seen.append((name, calls)) for name in "abc"}
    timings = interleave(sides, blocks=3, calls=7, warm_up=2)
    assert seen[:3] == [("a", 2), ("b", 2), ("c", 2)]
    assert "".join(name for name, _ in seen[3:]) == "abc" + "bca" + "cab"
    assert {calls for _, calls in seen[3:]} == {7}
    assert all(timings.seconds[name].shape == (3,) for name in sides)


def test_ratios_are_paired_by_block() -> None:
    slow_machine = np.array([1.0, 10.0, 1.0, 10.0, 1.0])
    timings = Timings({"side": 3.0 * slow_machine, "base": slow_machine})
    assert timings.ratio("side", "base") == Spread(3.0, 3.0, 3.0)
    assert timings.of("side") == Spread(3.0, 3.0, 30.0)


def test_the_garbage_collector_is_back_on_after_a_failing_side() -> None:
    def fail(calls: int) -> None:
        if calls == 5:
            assert not gc.isenabled()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interleave({"fails": fail}, blocks=1, calls=5, warm_up=1)
    assert gc.isenabled()


def test_settling_calls_are_not_timed() -> None:
    ticks = iter(range(100))
    seen: list[int] = []
    timings = interleave(
        {"a": seen.append}, blocks=2, calls=4, warm_up=3, settle=2, clock=lambda: float(next(ticks))
    )
    assert seen == [3, 2, 4, 2, 4]
    assert timings.seconds["a"].tolist() == [0.25, 0.25]


def test_overhead_is_the_part_of_what_a_peer_adds() -> None:
    plain = np.array([1.0, 10.0])
    timings = Timings({"plain": plain, "side": 1.5 * plain, "peer": 3.0 * plain})
    assert timings.overhead("side", "peer", "plain") == Spread(0.25, 0.25, 0.25)
