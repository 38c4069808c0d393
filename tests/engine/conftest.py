from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """As a run does: small matrices only lose by more."""
    torch.set_num_threads(1)
