"""Losses on validation data, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


class MeanLosses:
    """Means over batches, by task; each batch counts once. Sums stay on the device until asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor | None]) -> None:
        """Take in a batch's losses, scalars by task; None where it has no data of one."""
        for task, loss in losses.items():
            if loss is not None:
                value = loss.detach().reshape(()).float()
                self._sums[task] = value if task not in self._sums else self._sums[task] + value
                self._counts[task] = self._counts.get(task, 0) + 1

    def take(self) -> dict[str, float]:
        """Return the means, and begin anew."""
        means = {task: float(total) / self._counts[task] for task, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means
