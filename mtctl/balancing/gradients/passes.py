"""Backward passes through what the tasks share: one for each task, or one for a weighted sum of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import Tensor

from mtctl.balancing.gradients.arriving import Arriving
from mtctl.balancing.gradients.backward import Place, gradients_at
from mtctl.balancing.gradients.gathered import Gathered

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

    def weighted(
        self, weights: Tensor, leaves: Sequence[Place], *, retain: bool = True
    ) -> tuple[Tensor | None, ...]:
        """Return the gradient of Σᵢ wᵢ·Lᵢ on every leaf, None where no task reaches it, by one pass.

        Args:
            weights: [T].
            leaves: parameters.
            retain: whether to keep the graph for further passes.
        """
        sums = [here.weighted(weights) for here in self._arriving] if leaves else []
        return gradients_at(leaves, self._features, sums, retain=retain)

    def single(self, leaves: Sequence[Place], *, batched: bool = True, retain: bool = True) -> list[Gathered]:
        """Return the tasks' gradients on every leaf.

        Args:
            leaves: parameters, or edges of the graph.
            batched: whether passes of several tasks may be made at once.
            retain: whether to keep the graph for further passes.
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
        return self._one_by_one(tasks, leaves, retain)

    def _in_batches(self, tasks: list[int], leaves: Sequence[Place], together: int) -> list[Gathered]:
        # Whether a leaf is reached does not depend on the batch: every batch starts at all features.
        gathered = [Gathered(len(tasks)) for _ in leaves]
        for start in range(0, len(tasks), together):
            batch = tasks[start : start + together]
            arriving = [here.rows(batch) for here in self._arriving]
            found = gradients_at(leaves, self._features, arriving, batched=True)
            for here, part in zip(gathered, found, strict=True):
                if part is not None:
                    here.extend(batch, part)
        return gathered

    def _one_by_one(self, tasks: list[int], leaves: Sequence[Place], retain: bool) -> list[Gathered]:
        gathered = [Gathered(len(tasks)) for _ in leaves]
        for task in tasks:
            pairs = zip(self._features, self._arriving, strict=True)
            used = [(feature, here.of(task)) for feature, here in pairs if task in here.tasks]
            outputs, arriving = zip(*used, strict=True)
            found = [*gradients_at(leaves, outputs, arriving, retain=retain or task != tasks[-1])]
            for here in reversed(gathered):
                # Given away, so that its memory is free before the next pass makes its own.
                if (gradient := found.pop()) is not None:
                    here.add(task, gradient)
                del gradient
        return gathered
