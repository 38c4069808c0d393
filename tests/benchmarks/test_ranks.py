"""What a balanced step costs in several processes is measured on steps that are made."""

from __future__ import annotations

import pytest

from benchmarks.ranks import WAYS, seconds


@pytest.mark.parametrize("way", WAYS)
def test_steps_are_timed(way: str) -> None:
    work, took = seconds(way, processes=1, rank=0, steps=2)
    assert work > 0
    assert took > 0
