from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.runs import WINDOWS, train


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a completed run of the lander; nobody may change it."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    assert train(directory) == "completed"
    return directory


@pytest.fixture(scope="session")
def windows_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a completed run of the windows; nobody may change it."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    assert train(directory, WINDOWS) == "completed"
    return directory
