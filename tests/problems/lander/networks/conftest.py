from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def _in_double_precision() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
