"""Backward passes through what the tasks share: one for each task, or one for a weighted sum of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import torch
from torch import Tensor

from mtctl.balancing.gradients.arriving import Arriving
from mtctl.balancing.gradients.backward import Place, gradients_at
from mtctl.balancing.gradients.gathered import Gathered
from mtctl.balancing.gradients.heads import Heads, Own, through_heads
from mtctl.balancing.gradients.rows import closed_form

_BATCH: Final = 2**21
"""Numbers of the tasks' gradients at the features that one batched pass takes: 8 MB. Batches save the cost of
each call, a factor of 2 to 10 on small networks. Above this size the products themselves take the time (the
two ways are within 15 % with 32 to 512 rows and 16 to 512 units), and a batch would only take memory."""


class Cut(NamedTuple):
    """The graphs of T losses, cut into heads and what they have in common.

    Args:
        own: for each of the T tasks, the parameters in its head.
        common: the parameters below the heads.
        features: where the heads end; None where nothing is cut, and every pass begins at the losses.
    """

    own: Sequence[Sequence[Tensor]]
    common: Sequence[Tensor]
    features: Sequence[Place] | None


def at_losses(losses: Mapping[int, Tensor], weights: Tensor) -> list[Tensor]:
    """Return what arrives at losses of the sum Σᵢ wᵢ·Lᵢ, for weights [T]."""
    by_task = weights.tolist()
    return [torch.full_like(loss, by_task[task]) for task, loss in losses.items()]


class Passes:
    """Backward passes of losses: through the heads once, and from there, or from the losses, to parameters.

    Args:
        losses: a differentiable scalar of each task that is present, by its index.
        cut: where the heads end.
        counts: for each task, its rows of the batch, where a task's loss depends on these alone.
        batched: whether passes of several tasks may be made at once.
        retain: whether the graph is kept in any case.

    Attributes:
        how: how per-task gradients were found last, and why so; "" as long as none were.
    """

    def __init__(
        self,
        losses: Mapping[int, Tensor],
        cut: Cut,
        *,
        counts: Sequence[int] | None = None,
        batched: bool = True,
        retain: bool = True,
    ) -> None:
        self._losses, self._cut, self._counts = losses, cut, counts
        self._batched = batched and cut.features is not None
        self.retain = retain
        self.how = ""

    @cached_property
    def heads(self) -> Heads:
        """What comes back through the heads."""
        return through_heads(self._losses, self._cut.own, self._cut.features or (), retain=self.retain)

    @property
    def halfway(self) -> bool:
        """Whether the heads have been passed, and passes go on from there."""
        return self._cut.features is not None and "heads" in self.__dict__

    @cached_property
    def own(self) -> Own:
        """The gradients of parameters in heads."""
        if self._counts is None or self.halfway:
            return self.heads.own
        # Rows of a batch are split between the heads: what arrives at their features is not wanted.
        return through_heads(self._losses, self._cut.own, ()).own

    def weighted(
        self, weights: Tensor, leaves: Sequence[Place], *, retain: bool = True
    ) -> tuple[Tensor | None, ...]:
        """Return the gradient of Σᵢ wᵢ·Lᵢ on every leaf, None where no task reaches it, by one pass.

        Args:
            weights: [T].
            leaves: parameters.
            retain: whether to keep the graph for further passes.
        """
        outputs: list[Place] = [*self._losses.values()]
        if self.halfway:
            outputs = [feature for feature, _ in self._used]
            arriving = [here.weighted(weights) for _, here in self._used] if leaves else []
        else:
            arriving = at_losses(self._losses, weights)
        return gradients_at(leaves, outputs, arriving, retain=retain or self.retain)

    def single(self, leaves: Sequence[Tensor], *, retain: bool = True) -> list[Gathered]:
        """Return the tasks' gradients on every leaf: in closed form where tasks have rows of their own.

        Args:
            leaves: parameters.
            retain: whether to keep the graph for further passes.
        """
        if self._counts is None:
            return self.passed(leaves, retain=retain)
        found = closed_form(self._losses, leaves, self._counts)
        if not isinstance(found, str):
            self.how = "closed form: one backward pass over the rows of all tasks"
            return found
        gathered = self.passed(leaves, retain=retain)
        self.how += f"; no closed form: {found}"
        return gathered

    def passed(self, places: Sequence[Place], *, retain: bool = True) -> list[Gathered]:
        """Return the tasks' gradients at every place: by batched passes, or by one for each task."""
        tasks = sorted({task for _, here in self._used for task in here.tasks})
        size = max(1, sum(here.size for _, here in self._used))
        together = min(max(1, _BATCH // size), len(tasks))
        reason = "no features given"
        if self._batched:
            reason = f"{size:,} numbers at the features are too many to batch"
        if self._batched and (together > 1 or len(tasks) == 1):
            try:
                found = self._in_batches(tasks, places, together)
            except RuntimeError as error:
                reason = f"torch cannot batch them: {str(error).splitlines()[0]}"
            else:
                self.how = f"batched, {together} tasks at a time"
                return found
        self.how = f"one pass per task: {reason}"
        return self._one_by_one(tasks, places, retain or self.retain)

    @cached_property
    def _used(self) -> list[tuple[Place, Arriving]]:
        """Where passes start, with what arrives there; where no task arrives, none has to start."""
        if self._cut.features is None:
            ones = ((loss, (task,), torch.ones_like(loss)) for task, loss in self._losses.items())
            return [(loss, Gathered.stacked(task, one.unsqueeze(0))) for loss, task, one in ones]
        pairs = zip(self._cut.features, self.heads.arriving, strict=True)
        return [(feature, here) for feature, here in pairs if here.tasks]

    def _in_batches(self, tasks: list[int], places: Sequence[Place], together: int) -> list[Gathered]:
        # Whether a leaf is reached does not depend on the batch: every batch starts at all features.
        gathered = [Gathered(len(tasks)) for _ in places]
        for start in range(0, len(tasks), together):
            batch = tasks[start : start + together]
            arriving = [here.rows(batch) for _, here in self._used]
            found = gradients_at(places, [feature for feature, _ in self._used], arriving, batched=True)
            for here, part in zip(gathered, found, strict=True):
                if part is not None:
                    here.extend(batch, part)
        return gathered

    def _one_by_one(self, tasks: list[int], places: Sequence[Place], retain: bool) -> list[Gathered]:
        gathered = [Gathered(len(tasks)) for _ in places]
        for task in tasks:
            used = [(feature, here.gradient(task)) for feature, here in self._used if task in here.tasks]
            outputs, arriving = zip(*used, strict=True)
            found = [*gradients_at(places, outputs, arriving, retain=retain or task != tasks[-1])]
            for here in reversed(gathered):
                # Given away, so that its memory is free before the next pass makes its own.
                if (gradient := found.pop()) is not None:
                    here.add(task, gradient)
                del gradient
        return gathered
