from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtctl import machine


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (758_000, "758 kB"),
        (3.3e9, "3.3 GB"),
        (80e9, "80 GB"),
        (999_600, "1 MB"),
        (1.28e20, "128 EB"),
        (1e30, "more than 1,000 EB"),
    ],
)
def test_amounts_in_words(amount: float, words: str) -> None:
    assert machine.size(amount) == words


def test_this_machine_has_memory_and_some_of_it_is_free() -> None:
    whole, free = machine.memory(), machine.available()
    assert whole is not None
    assert free is not None
    assert 10**8 < free <= whole < 10**15


def test_the_least_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_meminfo", lambda: {"MemTotal": 64, "SwapTotal": 8, "MemAvailable": 60})
    monkeypatch.setattr(machine, "_memory_limits", lambda: iter([100]))
    monkeypatch.setattr(machine, "_address_space", lambda: None)
    assert (machine.memory(), machine.available()) == (72, 60)
    monkeypatch.setattr(machine, "_memory_limits", lambda: iter([100, 32]))
    assert (machine.memory(), machine.available()) == (40, 40)
    monkeypatch.setattr(machine, "_address_space", lambda: 16)
    assert machine.memory() == 16


def within(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be in a control group whose files lie in a folder."""
    monkeypatch.setattr(machine, "_control_groups", lambda _controller: iter([group]))


def test_a_group_s_memory_is_read_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    within(tmp_path, monkeypatch)
    (tmp_path / "memory.max").write_text("123456\n")
    assert list(machine._memory_limits()) == [123456]
    (tmp_path / "memory.max").write_text("max\n")
    assert list(machine._memory_limits()) == []


@pytest.mark.parametrize(
    ("files", "shares"),
    [
        ({"cpu.max": "max 100000\n"}, []),
        ({"cpu.max": "200000 100000\n"}, [2]),
        ({"cpu.max": "150000 100000\n"}, [2]),
        ({"cpu.max": "50000 100000\n"}, [1]),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, []),
        ({"cpu.cfs_quota_us": "300000\n", "cpu.cfs_period_us": "100000\n"}, [3]),
        ({"cpu.max": "\n"}, []),
        ({}, []),
    ],
)
def test_a_group_s_processors_are_read_where_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], shares: list[int]
) -> None:
    within(tmp_path, monkeypatch)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert list(machine._shares()) == shares


def test_cores_are_counted_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight processors are four cores; two cores are what their control group is given."""
    monkeypatch.setattr(machine, "_processors", lambda: list(range(8)))
    monkeypatch.setattr(machine, "_siblings", lambda number: f"{number % 4},{number % 4 + 4}")
    monkeypatch.setattr(machine, "_shares", lambda: iter(()))
    assert machine.cores() == 4
    monkeypatch.setattr(machine, "_shares", lambda: iter([3, 2, 16]))
    assert machine.cores() == 2
    monkeypatch.setattr(machine, "_processors", lambda: [3, 7])
    assert machine.cores() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_cores_are_those_of_the_affinity() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= machine.cores() <= len(before)


def test_a_system_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_meminfo", dict)
    monkeypatch.setattr(machine, "_pages", lambda: None)
    assert machine.memory() is None
    assert machine.available() is None
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setattr(machine, "_shares", lambda: iter(()))
    assert machine.cores() == 1
