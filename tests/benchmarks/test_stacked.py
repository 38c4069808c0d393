from __future__ import annotations

from benchmarks.stacked import CASES, measured
from mtctl.engine.processor import use_one_thread
from mtctl.engine.shapes import shape
from mtctl.recipes.builtin import find
from mtctl.recipes.loading import load
from tests.engine.runs import WINDOWS


def test_every_case_can_be_one_program() -> None:
    for recipe, overrides in CASES.values():
        assert shape(load(find(recipe), [*overrides]))["problem.kind"] == "windows"


def test_ratios_are_of_the_same_block() -> None:
    use_one_thread()
    row = measured(WINDOWS.lasting(1), 2, 1, gpu=False)
    assert row["against_one"] == row["together"] / row["one"]
    assert row["against_all"] == row["against_one"] / 2
    assert row["spread"] == [row["against_all"]] * 2
