"""How many runs are made at a time, and the reason that is told."""

from __future__ import annotations

import pytest

from mtctl import machine
from mtctl.engine.launch import parallel
from mtctl.engine.launch.parallel import Parallel, in_parallel
from mtctl.problems.sizes import PROCESS, of_process
from tests.engine.runs import WINDOWS, recipe


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return what sets up a machine: its cores, and its free memory."""

    def machine_with(cores: int, free: float | None) -> None:
        monkeypatch.setattr(parallel, "cores", lambda: cores)
        monkeypatch.setattr(parallel, "available", lambda: free)

    return machine_with


@pytest.mark.parametrize(
    ("cores", "free", "number", "line"),
    [
        (2, 16e9, 6, "2 runs in parallel (2 cores)"),
        (16, 16e9, 3, "3 runs in parallel (16 cores)"),
        (1, 16e9, 3, "one run at a time (1 core)"),
        (8, 4e9, 6, "3 runs in parallel (4 GB of memory are free, and each may take 1 GB)"),
        (8, 4e9, 2, "2 runs in parallel (8 cores)"),
        (8, 1e8, 2, "one run at a time (100 MB of memory are free, and each may take 1 GB)"),
        (4, None, 6, "4 runs in parallel (4 cores)"),
    ],
)
def test_one_a_core_as_far_as_memory_goes(
    on: object, cores: int, free: float | None, number: int, line: str
) -> None:
    assert callable(on)
    on(cores, free)
    assert in_parallel(None, number, 1e9).line("run") == line


def test_who_asks_decides(on: object) -> None:
    assert callable(on)
    on(2, 1e8)
    assert in_parallel(5, 9, 1e9) == Parallel(5)
    assert in_parallel(5, 3, 1e9).line("run") == "3 runs in parallel"
    assert in_parallel(1, 3, 1e9).line("training") == "one training at a time"


def test_a_process_takes_what_its_recipe_holds_and_its_own() -> None:
    small, large = WINDOWS, WINDOWS.revised({"problem.data.windows": 1_000_000})
    assert of_process(small) >= PROCESS
    assert of_process(large) - of_process(small) > 1e9


def test_a_process_takes_no_less_than_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which has run the user's code, of which nothing else is known."""
    monkeypatch.setattr("mtctl.problems.sizes.peak", lambda: 50 * 10**9)
    assert of_process(recipe()) > 50e9
    assert (machine.peak() or 10**8) > 10**7
