"""The benchmark of environments runs; what it measures is nobody's business here."""

from __future__ import annotations

import pytest

from benchmarks import hybrid_environments


def test_a_quick_run_prints_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    hybrid_environments.main(["--quick"])
    printed = [line.split("|") for line in capsys.readouterr().out.splitlines()]
    rows = {
        (cells[1].strip(), int(cells[2]))
        for cells in printed
        if len(cells) > 2 and cells[2].strip().isdigit()
    }
    assert rows == set(hybrid_environments.CASES)
