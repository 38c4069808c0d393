"""What every run logs, whatever its method: losses, weights, gradient norms, shares, cosines, conflicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mtctl.balancing.chain import Decision
from mtctl.balancing.contract import TaskGradients
from mtctl.balancing.gradients import conflict_rate, cosines, gradient_shares


class SignalLog:
    """Collects each update's signals and returns their means at the end of a unit.

    Args:
        tasks: names.
        shared: whether the tasks share parameters at all; without, there are no cosines and no conflicts.
    """

    def __init__(self, tasks: tuple[str, ...], *, shared: bool) -> None:
        self._tasks = tasks
        self._shared = shared
        self._clear()

    def _clear(self) -> None:
        self._losses: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._gramians: list[Tensor] = []
        self._active: list[Tensor] = []

    def add(self, gradients: TaskGradients, decision: Decision) -> None:
        """Keep one update's signals; the means are left to `flush`, so that a step costs four references."""
        self._losses.append(gradients.losses)
        self._weights.append(decision.shared)
        self._gramians.append(gradients.gramian("all_shared"))
        self._active.append(gradients.active)

    def flush(self) -> dict[str, Any] | None:
        """Return the means since the last flush (see engine/layout.py), or None if there was no update."""
        if not self._losses:
            return None
        active = torch.stack(self._active)
        gramian, weights = torch.stack(self._gramians), torch.stack(self._weights)
        both = active.unsqueeze(2) & active.unsqueeze(1)
        norms = gramian.diagonal(dim1=1, dim2=2).sqrt()
        signals = {
            "updates": len(active),
            "loss": self._by_task(_mean(torch.stack(self._losses), active)),
            "weight": self._by_task(_mean(weights, active)),
            "gradient_norm": self._by_task(_mean(norms, active)),
            "gradient_share": self._by_task(_mean(gradient_shares(weights, gramian), active)),
            "cosine": self._by_pair(
                _mean(cosines(gramian), both & (gramian.diagonal(dim1=1, dim2=2) > 0).unsqueeze(1))
            ),
            "conflict_rate": self._conflict_rate(gramian, active),
        }
        self._clear()
        return signals

    def _by_task(self, means: Tensor) -> dict[str, float | None]:
        return dict(zip(self._tasks, _numbers(means), strict=True))

    def _by_pair(self, means: Tensor) -> dict[str, float | None]:
        pairs = {}
        for i, first in enumerate(self._tasks):
            for j, second in enumerate(self._tasks[i + 1 :], i + 1):
                pairs[f"{first}|{second}"] = _numbers(means[i, j : j + 1])[0] if self._shared else None
        return pairs

    def _conflict_rate(self, gramian: Tensor, active: Tensor) -> float | None:
        if not self._shared:
            return None
        rates = conflict_rate(gramian, active)
        return _numbers(rates.nanmean().unsqueeze(0))[0]


def _mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean over updates of the entries that are present; NaN where there is none."""
    return torch.where(present, values, torch.nan).nanmean(0)


def _numbers(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN is not itself
