from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mtctl.cli import app


class Result(NamedTuple):
    """What a command has left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def mtctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run the command line in this process, in a folder of its own; an unexpected exception fails a test."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["mtctl", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Result(left.value.code, captured.out, captured.err)

    return run
