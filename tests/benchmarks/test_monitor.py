"""The benchmark of the monitor runs end to end; what it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_the_table_and_writes_the_document(tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    command = [sys.executable, "-m", "benchmarks.monitor", "--quick", "--json", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(path.read_text(encoding="utf-8"))
    (one,) = written["comparisons"]
    assert (one["bar"], one["direction"]) == (1.1, "at most")
    assert one["what"] in ran.stdout
    assert 0 < one["ratio"]["low"] <= one["ratio"]["median"] <= one["ratio"]["high"]
    assert written["torch_threads"] == 1
    assert set(written["versions"]) >= {"python", "torch"}
