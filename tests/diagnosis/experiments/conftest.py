from __future__ import annotations

import pytest

from mtctl.engine.processor import use_one_thread


@pytest.fixture(autouse=True)
def _as_a_command() -> None:
    """Set this process up as `mtctl diagnose` does."""
    use_one_thread()
