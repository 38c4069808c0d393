"""Backward passes through what the tasks share: one for each task, or one for a weighted sum of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from mtctl.balancing.gradients.arriving import Arriving, Place
from mtctl.balancing.gradients.gathered import Gathered
from mtctl.balancing.gradients.products import Rows, real_rows

_BATCH: Final = 2**21
"""Numbers of the tasks' gradients at the features that one batched pass takes: 8 MB. Batches save the cost of
each call, a factor of 2 to 10 on small networks. Above this size the products themselves take the time (the
two ways are within 15 % with 32 to 512 rows and 16 to 512 units), and a batch would only take memory."""


class Passes:
    """Backward passes from features down to parameters.

    Args:
        features: where passes start: tensors, or edges of their graph.
        arriving: for each feature, what arrives there of each task.

    Attributes:
        how: how the last passes of single tasks were made, and why.
    """

    def __init__(self, features: Sequence[Place], arriving: Sequence[Arriving]) -> None:
        # Where no task arrives, no pass has to start.
        used = [(feature, here) for feature, here in zip(features, arriving, strict=True) if here.tasks]
        self._features = [feature for feature, _ in used]
        self._arriving = [here for _, here in used]
        self.how = ""

    def weighted(self, weights: Tensor, leaves: Sequence[Place]) -> tuple[Tensor | None, ...]:
        """Return the gradient of Σᵢ wᵢ·Lᵢ on every leaf, None where no task reaches it, by one pass.

        Args:
            weights: [T].
            leaves: parameters.
        """
        sums = [here.weighted(weights) for here in self._arriving]
        return _pull(self._features, leaves, sums, batched=False)

    def single(self, leaves: Sequence[Place], *, batched: bool = True) -> list[Rows | None]:
        """Return the tasks' gradients on every leaf, None where no task reaches it.

        Args:
            leaves: parameters, or edges of the graph.
            batched: whether passes of several tasks may be made at once.
        """
        tasks = sorted({task for here in self._arriving for task in here.tasks})
        size = max(1, sum(here.size for here in self._arriving))
        together = min(max(1, _BATCH // size), len(tasks))
        reason = f"{size:,} numbers at the features are too many to batch" if batched else "no features given"
        if batched and (together > 1 or len(tasks) == 1):
            try:
                found = self._in_batches(tasks, leaves, together)
            except RuntimeError as error:
                reason = f"torch cannot batch them: {str(error).splitlines()[0]}"
            else:
                self.how = f"batched, {together} tasks at a time"
                return found
        self.how = f"one pass per task: {reason}"
        return self._one_by_one(tasks, leaves)

    def _in_batches(self, tasks: list[int], leaves: Sequence[Place], together: int) -> list[Rows | None]:
        # Whether a leaf is reached does not depend on the batch: every batch starts at all features.
        found: list[Tensor | None] = [None] * len(leaves)
        for start in range(0, len(tasks), together):
            batch = tasks[start : start + together]
            arriving = [here.rows(batch) for here in self._arriving]
            for place, part in enumerate(_pull(self._features, leaves, arriving, batched=True)):
                if part is None:
                    continue
                rows = real_rows(part)
                if len(batch) < len(tasks):
                    whole = found[place]
                    whole = rows.new_empty(len(tasks), rows.shape[1]) if whole is None else whole
                    whole[start : start + len(batch)] = rows
                    rows = whole
                found[place] = rows
        return [None if rows is None else Rows(tuple(tasks), rows) for rows in found]

    def _one_by_one(self, tasks: list[int], leaves: Sequence[Place]) -> list[Rows | None]:
        gathered = [Gathered(len(tasks)) for _ in leaves]
        for task in tasks:
            used = [
                (feature, here.rows([task])[0])
                for feature, here in zip(self._features, self._arriving, strict=True)
                if task in here.tasks
            ]
            outputs, arriving_here = zip(*used, strict=True)
            gradients = _pull(outputs, leaves, arriving_here, batched=False)
            for here, gradient in zip(gathered, gradients, strict=True):
                if gradient is not None:
                    here.add(task, gradient.to_dense())
        return [here.rows for here in gathered]


def _pull(
    outputs: Sequence[Place], leaves: Sequence[Place], arriving: Sequence[Tensor], *, batched: bool
) -> tuple[Tensor | None, ...]:
    if not outputs or not leaves:
        return (None,) * len(leaves)
    return torch.autograd.grad(
        list(outputs),  # type: ignore[arg-type]  # tensors and edges may be mixed, which torch does not declare
        leaves,  # type: ignore[arg-type]
        arriving,
        retain_graph=True,
        allow_unused=True,
        is_grads_batched=batched,
    )
