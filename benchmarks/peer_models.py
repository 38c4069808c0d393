"""The reference network of the comparison with other libraries: an MLP trunk, a linear head for each task."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

INPUTS: Final = 64
WIDTH: Final = 256
SEED: Final = 0
LR: Final = 1e-3
COMMON: Final = 4
"""Directions that gradients have in common."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward pass leaves.

    Args:
        features: [rows, 256] the last shared representation.
        losses: by task.
    """

    features: Tensor
    losses: dict[str, Tensor]


class Model(nn.Module):
    """Three shared layers of 256 with ReLU, T linear heads, and Adam; regression on random targets.

    Targets of different tasks have nothing in common, so that about half of all pairs of gradients conflict.

    Args:
        tasks: T.
        rows: of the batch that all tasks share; or of each task's own, where `own_rows`.
        own_rows: whether each task has rows of its own.
    """

    def __init__(self, tasks: int, rows: int, *, own_rows: bool = False) -> None:
        super().__init__()
        self.tasks = tuple(f"task{place}" for place in range(tasks))
        self.counts = (rows,) * tasks if own_rows else None
        generator = torch.Generator().manual_seed(SEED)
        widths = (INPUTS, WIDTH, WIDTH, WIDTH)
        layers = [nn.Linear(*pair) for pair in pairwise(widths)]
        self.trunk = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in range(tasks))
        self.last = layers[-1]
        with torch.no_grad():
            for parameter in self.parameters():
                bound = WIDTH**-0.5
                parameter.uniform_(-bound, bound, generator=generator)
        self.inputs = torch.randn(rows * (tasks if own_rows else 1), INPUTS, generator=generator)
        self.targets = torch.randn(tasks, rows, 1, generator=generator)
        self.shared: list[Parameter] = list(self.trunk.parameters())
        self.own: list[list[Parameter]] = [list(head.parameters()) for head in self.heads]
        self.optimizer = torch.optim.Adam(self.parameters(), lr=LR, fused=True)

    def forward(self) -> Pass:
        features = self.trunk(self.inputs)
        parts = features.split(self.counts) if self.counts else [features] * len(self.tasks)
        losses = [
            (head(part) - target).square().mean()
            for head, part, target in zip(self.heads, parts, self.targets, strict=True)
        ]
        return Pass(features, dict(zip(self.tasks, losses, strict=True)))


def jacobian(tasks: int, size: int) -> Tensor:
    """Return [T, size] gradients as tasks of one network have them.

    Half of the pairs conflict, most cosines are within ±0.5, and lengths differ by up to a factor of 10.
    """
    generator = torch.Generator().manual_seed(SEED)
    common = torch.randn(COMMON, size, generator=generator)
    mixed = torch.randn(tasks, COMMON, generator=generator) @ common / COMMON**0.5
    rows = mixed + torch.randn(tasks, size, generator=generator)
    return rows * 10 ** torch.rand(tasks, 1, generator=generator)
