"""The benchmarks of the monitors run end to end; what they measure is nobody's business here."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.parametrize(("name", "bar"), [("monitor", 1.1), ("loop_monitor", 1.03)])
def test_a_quick_run_prints_the_table_and_writes_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, bar: float
) -> None:
    path = tmp_path / "monitor.json"
    import_module(f"benchmarks.{name}").main(["--quick", "--json", str(path)])
    written = json.loads(path.read_text(encoding="utf-8"))
    (one,) = written["comparisons"]
    assert (one["bar"], one["direction"]) == (bar, "at most")
    assert one["what"] in capsys.readouterr().out
    assert 0 < one["ratio"]["low"] <= one["ratio"]["median"] <= one["ratio"]["high"]
    assert written["torch_threads"] == 1
    assert set(written["versions"]) >= {"python", "torch"}
