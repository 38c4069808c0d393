"""What mtctl and its peers are compared on, beside the reference network: a Jacobian."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from mtctl.measuring.reference import SEED

COMMON: Final = 4
"""Directions that gradients have in common."""


def jacobian(tasks: int, size: int) -> Tensor:
    """Return [T, size] gradients as tasks of one network have them.

    Half of the pairs conflict, most cosines are within ±0.5, and lengths differ by up to a factor of 10.
    """
    generator = torch.Generator().manual_seed(SEED)
    common = torch.randn(COMMON, size, generator=generator)
    mixed = torch.randn(tasks, COMMON, generator=generator) @ common / COMMON**0.5
    rows = mixed + torch.randn(tasks, size, generator=generator)
    return rows * 10 ** torch.rand(tasks, 1, generator=generator)
