from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Threads of OpenMP wait busily for one another: with more of them than free processors, a test of a second
# takes minutes. Read when torch is loaded, here and in processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says more about the machine than about the code.
settings.register_profile("mtctl", deadline=None)
settings.load_profile("mtctl")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which tests in a browser fail, instead of being skipped, where there is none."""
    parser.addoption("--browser-required", action="store_true", help="fail where no Chromium is on PATH")


@pytest.fixture(autouse=True)
def _processor_as_found() -> Iterator[None]:
    """A command sets its process up for training; tests of other things in this process must not notice."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Write a file into a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)

    def file(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return file


@pytest.fixture
def refusal(write: Callable[[str, str], Path]) -> Callable[..., str]:
    """Return the message that a recipe text is refused with."""
    from mtctl.errors import ExitCode, MtctlError
    from mtctl.recipes.loading import load

    def message(text: str, *overrides: str, name: str = "mine.yaml") -> str:
        with pytest.raises(MtctlError) as caught:
            load(write(name, text), overrides)
        assert caught.value.code is ExitCode.USAGE
        return caught.value.message

    return message
