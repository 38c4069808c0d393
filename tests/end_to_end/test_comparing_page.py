"""docs/comparing.md: its commands and its Python run, and print what it shows."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.end_to_end.command import ROOT
from tests.end_to_end.test_own_model_page import Here

PAGE = (ROOT / "docs" / "comparing.md").read_text(encoding="utf-8")
SMALL = [
    word
    for key in ("training.epochs=1", "problem.data.windows=64", "problem.data.held_out=8")
    for word in ("-o", key)
]
_SEEDS = ("0..4", "0..2")
"""Seeds of the page, and here."""


def test_commands_and_python_run_as_they_stand(
    here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mtctl.cli.train_runs.LocalLauncher", Here)
    said = ""
    for line in re.findall(r"^    \$ mtctl (.*)$", PAGE, flags=re.MULTILINE):
        words = shlex.split(line.replace(*_SEEDS))
        result = here(*words, *(SMALL if words[0] == "train" else []))
        assert result.code == 0, result
        said += result.out + result.err
    shown = re.findall(r"^    (method  .*|note: .*)$", PAGE, flags=re.MULTILINE)
    printed = [_masked(line) for line in said.splitlines()]
    assert len(shown) == 4
    assert [line for line in shown if _masked(line) not in printed] == [], said
    assert {file.name for file in tmp_path.iterdir()} >= {"report.html", "scores.npz", "scores.json"}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "iqm.py").write_text(block, encoding="utf-8")
    runpy.run_path(str(tmp_path / "iqm.py"))
    assert "windows_fixed" in capsys.readouterr().out


def _masked(line: str) -> str:
    return " ".join(re.sub(r"[\d.]+", "#", line).split())
