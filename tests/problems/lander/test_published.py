from __future__ import annotations

import pytest

from mtctl.analysis.published import published_about
from mtctl.errors import MtctlError
from mtctl.problems.lander.published import ROWS, STUDY, TASKS

#: The averages as published, one decimal.
AVERAGES = (174.0, 205.6, 202.9, 187.7, -35.1, 146.0, -67.8, 220.3, 66.6)


def test_averages_are_the_published_ones() -> None:
    assert [row.average for row in ROWS] == pytest.approx(AVERAGES, abs=0.1)


def test_published_figures_say_what_keeps_them_apart() -> None:
    assert all(row.differs for row in ROWS)
    first, *rest = STUDY.notes(TASKS)
    assert "ONE run" in first
    assert not rest
    assert "windy_hull_noise" in STUDY.notes(("standard", "windy", "heavy"))[1]


def test_there_are_none_about_other_problems() -> None:
    assert published_about("lander") is STUDY
    with pytest.raises(MtctlError, match="no published figures about windows runs"):
        published_about("windows")
