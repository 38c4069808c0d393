"""The benchmark of comparisons runs end to end; what it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_the_table_and_writes_the_document(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    command = [sys.executable, "-m", "benchmarks.comparison", "--quick", "--json", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["bars"] == {"seconds": 3.0, "megabytes": 500.0}
    for cost in written["costs"]:
        assert cost["command"] in ran.stdout
        assert cost["seconds"] > 0
        assert cost["megabytes"] > 0
