"""What every run logs, whatever its method: losses, weights, gradient norms, shares, cosines, conflicts.

Losses and weights are known in every update. Gradients cost extra passes where a problem does not get them
for free, so they are measured in every k-th update only; their figures are means over the measured updates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from mtctl.balancing.chain import Decision
from mtctl.balancing.gradients import conflict_rate, cosines, gradient_shares
from mtctl.balancing.task_gradients import TaskGradients
from mtctl.engine.layout import LARGEST
from mtctl.problems.contract import TaskSignals

_FEWEST: Final = 64
"""Rows that a block has room for at first."""


class SignalLog:
    """Collects each update's signals and returns their means at the end of a unit.

    Args:
        tasks: names.
        shared: whether the tasks share parameters at all; without, there are no cosines and no conflicts.
        every: updates between two measurements of gradients.
        inspect: what the problem itself knows of its tasks, asked at the end of a unit.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        *,
        shared: bool,
        every: int = 1,
        inspect: Callable[[], TaskSignals] = dict,
    ) -> None:
        self._tasks = tasks
        self._shared = shared
        self._every = every
        self._ask = inspect
        self._rows, self._gradients = _Rows(), _Rows()
        self._measured: list[int] = []

    def _clear(self) -> None:
        self._rows.clear()
        self._gradients.clear()
        self._measured.clear()

    def add(self, gradients: TaskGradients, decision: Decision, update: int) -> None:
        """Keep one update's signals; the means are left to `flush`, so that a step costs little.

        Args:
            gradients: of this update.
            decision: the weights it is made with.
            update: how many updates the run has behind it: every k-th is measured.
        """
        measured = update % self._every == 0
        self.keep(
            gradients.losses,
            decision,
            gradients.importance,
            gradients.active,
            (gradients.gramian("all_shared"), gradients.own_norms()) if measured else None,
        )

    def keep(
        self,
        losses: Tensor,
        decision: Decision,
        importance: Tensor,
        active: Tensor,
        measured: tuple[Tensor, Tensor] | None,
    ) -> None:
        """Keep one update's values; all of a unit's tensors of one kind are on one device.

        Args:
            losses: [T].
            decision: the weights that the update is made with.
            importance: [T], what the problem multiplies losses by.
            active: [T] bool.
            measured: [T, T] inner products on shared parameters, NaN where nothing is shared, and [T] norms
                on the tasks' own; None where no gradient was measured.
        """
        if measured is not None:
            self._measured.append(self._rows.count)
            self._gradients.add(measured[0].flatten(), measured[1])
        self._rows.add(losses, decision.shared, decision.own, importance, active)

    def flush(self) -> dict[str, Any] | None:
        """Return the means since the last flush, and forget what they are means of; see `means`."""
        signals = self.means()
        self._clear()
        return signals

    def means(self) -> dict[str, Any] | None:
        """Return the means since the last flush (see engine/layout.py), or None if there was no update."""
        if not self._rows.count:
            return None
        losses, weights, own_weights, importance, present = self._rows.fetched().chunk(5, dim=1)
        active = present != 0
        return {
            "updates": len(active),
            "measured": len(self._measured),
            "loss": self._by_task(_mean(losses, active)),
            "weight": self._by_task(_mean(weights, active)),
            "own_weight": self._by_task(_mean(own_weights * importance, active)),
            **self._of_gradients(active, weights * importance),
            **self._inspect(),
        }

    def _inspect(self) -> TaskSignals:
        return {
            name: {task: _storable(figure) for task, figure in figures.items()}
            for name, figures in self._ask().items()
        }

    def _of_gradients(self, active: Tensor, factors: Tensor) -> dict[str, Any]:
        """Return the figures of gradients; `factors` [updates, T]: of the losses, in the sum."""
        if not self._measured:
            nothing: dict[str, Any] = dict.fromkeys(self._tasks)
            pairs = self._by_pair(torch.full((len(self._tasks),) * 2, torch.nan))
            figures = dict.fromkeys(("gradient_norm", "gradient_share", "own_gradient_norm"), nothing)
            return {**figures, "cosine": pairs, "cosine_sd": pairs, "conflict_rate": None}
        active, factors = active[self._measured], factors[self._measured]
        size = len(self._tasks)
        products, own_norms = self._gradients.fetched().split((size * size, size), dim=1)
        gramian = products.unflatten(1, (size, size))
        squares = gramian.diagonal(dim1=1, dim2=2)
        both = active.unsqueeze(2) & active.unsqueeze(1) & (squares > 0).unsqueeze(1)
        angles = cosines(gramian)
        return {
            "gradient_norm": self._by_task(_mean(squares.sqrt(), active)),
            "gradient_share": self._by_task(_mean_share(gradient_shares(factors * active, gramian), active)),
            "own_gradient_norm": self._by_task(_mean(own_norms, active)),
            "cosine": self._by_pair(_mean(angles, both)),
            "cosine_sd": self._by_pair(_deviation(angles, both)),
            "conflict_rate": self._conflict_rate(gramian, active),
        }

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
        known = ~gramian.diagonal(dim1=1, dim2=2).isnan()
        rates = conflict_rate(gramian, active & known)
        return _numbers(rates.nanmean().unsqueeze(0))[0]


class _Rows:
    """Numbers of updates, a row each, in one block that grows and stays.

    Kept one by one, small tensors would lie between the large ones of updates for a unit, so that the memory
    of these could not be used again as a whole: a run of minutes then took 450 MB more.
    """

    def __init__(self) -> None:
        self.count = 0
        self._block = torch.empty(0, 0)

    def add(self, *values: Tensor) -> None:
        """Add a row: vectors, all on one device, behind each other."""
        row = torch.cat(values)
        if self.count == len(self._block):
            block = row.new_empty(max(_FEWEST, 2 * self.count), len(row))
            if self.count:
                block[: self.count] = self._block
            self._block = block
        self._block[self.count] = row
        self.count += 1

    def fetched(self) -> Tensor:
        """Return the rows [updates, numbers] in main memory: fetched once, wherever they were computed."""
        return self._block[: self.count].cpu()

    def clear(self) -> None:
        self.count = 0


def _mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean over updates of the entries that are present; NaN where there is none."""
    return torch.where(present, values, torch.nan).nanmean(0)


def _mean_share(shares: Tensor, present: Tensor) -> Tensor:
    """Mean over updates, 0 where a task is absent, so that shares add up to 1; NaN for one that always is."""
    return torch.where(present.any(0), shares.nanmean(0), torch.nan)


def _deviation(values: Tensor, present: Tensor) -> Tensor:
    """Standard deviation over updates of the entries that are present; NaN below two of them."""
    mean, count = _mean(values, present), present.sum(0)
    squares = torch.where(present, (values - mean).square(), torch.nan).nansum(0)
    return torch.where(count > 1, (squares / (count - 1).clamp(min=1)).sqrt(), torch.nan)


def _numbers(values: Tensor) -> list[float | None]:
    return [_storable(value) for value in values.tolist()]


def _storable(value: float | None) -> float | None:
    return value if value is not None and abs(value) < LARGEST else None
