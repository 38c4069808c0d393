from __future__ import annotations

import os
import sys
from collections.abc import Iterator

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
