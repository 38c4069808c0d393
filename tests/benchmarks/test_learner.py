"""The benchmark runs end to end; what it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from benchmarks.learner import Comparison, table
from mtctl.measuring.timing import Spread

ROOT = Path(__file__).parents[2]
EVEN = Spread(1.0, 1.0, 1.0)


def test_a_quick_run_prints_the_table_and_writes_the_document(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    command = [sys.executable, "-m", "benchmarks.learner", "--quick", "--memory", "--json", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["torch_threads"] == 1
    assert written["peak_memory_mb"] > 50
    assert [one["bar"] for one in written["comparisons"] if one["bar"]] == [6.0, 1.6, 1.6, 3.0]
    for one in written["comparisons"]:
        assert one["what"] in ran.stdout
        assert 0 < one["ratio"]["low"] <= one["ratio"]["median"] <= one["ratio"]["high"]
    assert "peak memory" in ran.stdout


@pytest.mark.parametrize(
    ("direction", "ratio", "met"),
    [("at least", 2.1, True), ("at least", 1.9, False), ("at most", 1.9, True), ("at most", 2.1, False)],
)
def test_a_bar_is_met_or_missed(direction: Literal["at least", "at most"], ratio: float, met: bool) -> None:
    one = Comparison("x", EVEN, EVEN, Spread(ratio, ratio, ratio), 2.0, direction)
    assert one.met is met


def test_without_a_bar_there_is_no_verdict() -> None:
    one = Comparison("x", EVEN, EVEN, EVEN, None, "at most")
    assert one.met is None
    assert table([one], None).row_count == 1
