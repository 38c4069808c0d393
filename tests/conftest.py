from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _processor_as_found() -> Iterator[None]:
    """A run sets its process up for itself; tests of other things in this process must not notice."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
