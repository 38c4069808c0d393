"""A model of one's own that is small enough to be trained in a test: two tasks on points of a plane."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from mtctl.problems.python.training import Task, Training


class TwoHeads(nn.Module):
    """A trunk of 16 units, a class head and a regression head."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(dropout))
        self.side_head = nn.Linear(16, 2)
        self.height_head = nn.Linear(16, 1)

    def forward(self, points: Tensor) -> dict[str, Tensor]:
        features = self.trunk(points)
        return {"side": self.side_head(features), "height": self.height_head(features).squeeze(-1)}


def points(count: int, seed: int, *, unit: float = 1.0) -> TensorDataset:
    """Return points, on which side of a line they lie, and a height over them, in some unit."""
    rng = torch.Generator().manual_seed(seed)
    places = torch.randn(count, 2, generator=rng)
    side = (places[:, 0] + 0.5 * places[:, 1] > 0).long()
    height = unit * (places[:, 0] - places[:, 1])
    return TensorDataset(places, side, height)


def build(seed: int, *, rows: int = 64, unit: float = 1.0, dropout: float = 0.0, **settings: Any) -> Training:
    """Return a training of four batches an epoch."""
    del seed  # torch's own generator is seeded with it
    return Training(
        model=TwoHeads(dropout),
        tasks={"side": Task(functional.cross_entropy), "height": Task(functional.mse_loss)},
        train=DataLoader(points(rows, 0, unit=unit), 16, shuffle=True),
        validation=DataLoader(points(48, 1, unit=unit), 32),
        held_out=DataLoader(points(40, 2, unit=unit), 32),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
        **settings,
    )
