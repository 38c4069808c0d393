"""The benchmark of reports runs end to end; what it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.browser import find_browser

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_the_table_and_writes_the_document(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks.report", "--quick", "--json", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Reports on runs of 100 episodes" in ran.stdout
    (cost,) = json.loads(path.read_text(encoding="utf-8"))["costs"]
    assert (cost["runs"], cost["methods"]) == (4, 2)
    assert cost["kilobytes"] > 0
    assert (cost["drawn"] is None) == (find_browser() is None)


def test_without_a_browser_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "find_browser", lambda: None)
    report.main(["--quick"])
    told = capsys.readouterr()
    assert "no Chromium on PATH" in told.err
    assert "Reports on runs" in told.out
