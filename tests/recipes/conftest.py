from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.errors import ExitCode, MtctlError
from mtctl.recipes.loading import load
from tests.recipes.samples import Refusal, Write


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)

    def file(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return file


@pytest.fixture
def refusal(write: Write) -> Refusal:
    """Return the message that a recipe text is refused with."""

    def message(text: str, *overrides: str, name: str = "mine.yaml") -> str:
        with pytest.raises(MtctlError) as caught:
            load(write(name, text), overrides)
        assert caught.value.code is ExitCode.USAGE
        return caught.value.message

    return message
