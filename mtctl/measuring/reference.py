"""The reference network that costs are measured on: an MLP trunk, and a linear head for each task."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.gradients import AutogradGradients

INPUTS: Final = 64
WIDTH: Final = 256
ROWS: Final = 128
LR: Final = 1e-3
SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward pass leaves.

    Args:
        features: [rows, 256] the last shared representation.
        losses: by task.
    """

    features: Tensor
    losses: dict[str, Tensor]


class ReferenceNetwork(nn.Module):
    """Three shared layers of 256 with ReLU, T linear heads, and Adam; regression on random targets.

    Targets of different tasks have nothing in common, so that about half of all pairs of gradients conflict.

    Args:
        tasks: T.
        rows: of the batch that all tasks share, or of each task's own.
        own_rows: whether each task has rows of its own.
        fused: whether Adam is one operation for all parameters; torch's default is a loop over them.
    """

    def __init__(self, tasks: int, rows: int = ROWS, *, own_rows: bool = False, fused: bool = False) -> None:
        super().__init__()
        self.tasks = tuple(f"task{place}" for place in range(tasks))
        self.counts = (rows,) * tasks if own_rows else None
        widths = (INPUTS, WIDTH, WIDTH, WIDTH)
        # torch's own initialisation, replaced below, draws from the global generator, which is put back.
        with torch.random.fork_rng(devices=[]):
            layers = [nn.Linear(*pair) for pair in pairwise(widths)]
            self.heads = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in range(tasks))
        self.trunk = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        generator = torch.Generator().manual_seed(SEED)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-(WIDTH**-0.5), WIDTH**-0.5, generator=generator)
        self.inputs = torch.randn(rows * (tasks if own_rows else 1), INPUTS, generator=generator)
        self.targets = torch.randn(tasks, rows, 1, generator=generator)
        self.shared: list[Parameter] = list(self.trunk.parameters())
        self.last_shared: list[Parameter] = list(layers[-1].parameters())
        self.own: list[list[Parameter]] = [list(head.parameters()) for head in self.heads]
        self.optimizer = torch.optim.Adam(self.parameters(), lr=LR, fused=fused)

    def forward(self) -> Pass:
        features = self.trunk(self.inputs)
        parts = features.split(self.counts) if self.counts else [features] * len(self.tasks)
        losses = [
            (head(part) - target).square().mean()
            for head, part, target in zip(self.heads, parts, self.targets, strict=True)
        ]
        return Pass(features, dict(zip(self.tasks, losses, strict=True)))

    @torch.no_grad()
    def revisit(self) -> Tensor:
        """Return [T] the losses as they are now."""
        return torch.stack(list(self().losses.values())).double()

    def gradients(self) -> AutogradGradients:
        """Return the task gradients of a forward pass."""
        made = self()
        return AutogradGradients(
            self.tasks,
            made.losses,
            shared=self.shared,
            own=self.own,
            last_shared=self.last_shared,
            features=[made.features],
            rows=self.counts,
        )
