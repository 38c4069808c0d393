from __future__ import annotations

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
    monkeypatch.setattr(machine, "_control_group_limits", lambda: iter([100]))
    monkeypatch.setattr(machine, "_address_space", lambda: None)
    assert (machine.memory(), machine.available()) == (72, 60)
    monkeypatch.setattr(machine, "_control_group_limits", lambda: iter([100, 32]))
    assert (machine.memory(), machine.available()) == (40, 40)
    monkeypatch.setattr(machine, "_address_space", lambda: 16)
    assert machine.memory() == 16


def test_a_group_s_limit_is_read_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("123456\n")
    assert list(machine._limit(tmp_path)) == [123456]
    (tmp_path / "memory.max").write_text("max\n")
    assert list(machine._limit(tmp_path)) == []


def test_a_system_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_meminfo", dict)
    monkeypatch.setattr(machine, "_pages", lambda: None)
    assert machine.memory() is None
    assert machine.available() is None
