"""A small training loop with faults that can be planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mtctl


class Loop:
    """Two regressions on one trunk: learned in a few epochs where nothing is wrong.

    Args:
        directory: of the monitor.
        fault: `left_out` (the optimizer lacks blue's head), `detached` (blue's head reads detached features),
            `no_graph`, `nan` (blue's loss, from epoch 3 on), or none.
        seed: of weights and data.
        settings: of the monitor.
    """

    def __init__(self, directory: Path, fault: str = "", *, seed: int = 0, **settings: Any) -> None:
        self.fault = fault
        self.generator = torch.Generator().manual_seed(seed)
        self.trunk = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU())
        self.red, self.blue = nn.Linear(24, 1), nn.Linear(24, 1)
        self.model = nn.ModuleDict({"trunk": self.trunk, "red": self.red, "blue": self.blue})
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=self.generator) / 4)
        self.targets = torch.randn(6, 2, generator=self.generator)
        given = [
            one for name, one in self.model.named_parameters() if fault != "left_out" or "blue" not in name
        ]
        self.optimizer = torch.optim.Adam(given, lr=1e-2)
        self.monitor = mtctl.Monitor(directory, optimizer=self.optimizer, **settings)
        self.epochs = 0

    def losses(self) -> dict[str, Tensor]:
        inputs = torch.randn(32, 6, generator=self.generator)
        answers = inputs @ self.targets
        features = self.trunk(inputs)
        read = features.detach() if self.fault == "detached" else features
        blue = (self.blue(read)[:, 0] - answers[:, 1]).square().mean()
        if self.fault == "no_graph":
            blue = blue.detach()
        if self.fault == "nan" and self.epochs >= 2:
            blue = blue * torch.nan
        return {"red": (self.red(features)[:, 0] - answers[:, 0]).square().mean(), "blue": blue}

    def step(self, record: Callable[[dict[str, Tensor]], object] | None = None) -> None:
        losses = self.losses()
        self.optimizer.zero_grad()
        (record or self.monitor.record)(losses)
        sum(losses.values(), torch.zeros(())).backward()
        self.optimizer.step()

    def balanced_step(self) -> mtctl.Report:
        losses = self.losses()
        self.optimizer.zero_grad()
        report = mtctl.balance(losses, monitor=self.monitor)
        self.optimizer.step()
        return report

    def epoch(self, steps: int = 10, *, balanced: bool = False, validate: bool = True) -> None:
        for _ in range(steps):
            if balanced:
                self.balanced_step()
            else:
                self.step()
        self.epochs += 1
        with torch.no_grad():
            self.monitor.epoch(
                {task: loss.item() for task, loss in self.losses().items()} if validate else None
            )
