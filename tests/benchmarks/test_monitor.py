"""The benchmarks of the monitors run end to end; what they measure is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "bar"), [("monitor", 1.1), ("loop_monitor", 1.03)])
def test_a_quick_run_prints_the_table_and_writes_the_document(tmp_path: Path, name: str, bar: float) -> None:
    path = tmp_path / "monitor.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(path.read_text(encoding="utf-8"))
    (one,) = written["comparisons"]
    assert (one["bar"], one["direction"]) == (bar, "at most")
    assert one["what"] in ran.stdout
    assert 0 < one["ratio"]["low"] <= one["ratio"]["median"] <= one["ratio"]["high"]
    assert written["torch_threads"] == 1
    assert set(written["versions"]) >= {"python", "torch"}
