"""Losses divided by a scale of the current step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from mtctl.balancing._by_task import SizedMethod
from mtctl.balancing.contract import Array, Random, Signals, State
from mtctl.part import Misfit, PositiveFloat

_LITERAL = (
    "`form: literal` cannot train: the z-score of a loss among the tasks' losses, taken with `.item()`, is a "
    "number without gradient, so that `.backward()` raises; with a gradient, the losses below the mean would "
    "be driven up. Use `corrected`"
)


class BatchScale(SizedMethod):
    """Each loss divided by a scale of this step alone, held constant.

        wᵢ = bᵢ·dᵢ^p / max(cᵢ, ε),   cᵢ = |Lᵢ|  (`own_loss`)   or   cᵢ = std of the losses  (`spread`)

    With `own_loss` every task contributes the value ±bᵢ·dᵢ^p at every step, and wᵢ = 1/Lᵢ is the gradient of
    log Lᵢ. It follows a change of the losses at once, and passes each batch's noise on to the weights; a
    running mean does neither. With `spread` all tasks share one factor, the standard deviation over the
    active tasks' losses: it changes the length of the step, not the balance between tasks. Where there is no
    spread (a single task, equal losses) the factor is 1.

    The scale is a constant of the step: differentiating through it would give L/|L| = ±1 the gradient 0.

    Helps: where losses are in different units and change faster than a running mean follows (`own_loss`).

    Fails: where batches are small: their noise goes into the weights. `spread` balances nothing.

    Costs nothing besides the backward pass of the weighted sum.

    Source: proposed for a published four-headed sequence model; no paper. The z-score over the tasks' losses
    of that proposal carries no gradient and changes sign; here a scale takes its place.
    """

    kind: Literal["batch_scale"] = "batch_scale"
    form: Literal["corrected", "literal"] = "corrected"
    """`corrected`: divided by the scale. `literal`: the z-score as first proposed; it cannot train."""
    scale: Literal["own_loss", "spread"] = "own_loss"
    """The task's own loss, which balances; or the standard deviation of all tasks' losses, one factor for
    all, which only changes the length of the step."""
    epsilon: PositiveFloat = 1e-8
    """ε, the smallest scale, in units of the loss: one below it gains no more weight."""

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.form == "literal":
            yield Misfit(("form",), _LITERAL)

    def init(self, tasks: tuple[str, ...]) -> State:
        return {}

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        if self.scale == "own_loss":
            scale = np.maximum(np.abs(signals.losses), self.epsilon)
        else:
            spread = standard_deviation(signals)
            scale = np.where(spread > self.epsilon, spread, 1.0)
        return self.importance(signals.tasks) / scale * signals.active, state


def standard_deviation(signals: Signals) -> Array:
    """Return the standard deviation [..., 1] of the active tasks' losses, over T; 0 without any."""
    count = np.maximum(signals.active.sum(-1, keepdims=True), 1)
    mean = signals.losses.sum(-1, keepdims=True) / count
    deviation = (signals.losses - mean) * signals.active
    return np.asarray(np.sqrt((deviation**2).sum(-1, keepdims=True) / count))
