"""Losses divided by a scale of the current step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mtctl.balancing import _by_task
from mtctl.balancing.contract import Array, Balancer, Signals, State


@dataclass(frozen=True)
class BatchScale(Balancer):
    """Each loss in units of a scale that this step alone shows, held constant.

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

    Args:
        scale: what cᵢ is; `own_loss`, which balances.
        epsilon: ε, in units of the loss; 1e-8. A loss below it no longer gains weight.
        base_weights: [T] bᵢ; 1 each if left out.
        sizes: [T] dᵢ, numbers of output elements; 1 each if left out.
        size_exponent: p; 0: sizes do not count. 0.5 multiplies by √d.

    Raises:
        ValueError: the number of base weights or sizes is not the number of tasks.

    Source: proposed for a published four-headed sequence model; no paper. The z-score over the tasks' losses
    of that proposal carries no gradient and changes sign; here a scale takes its place.
    """

    scale: Literal["own_loss", "spread"] = "own_loss"
    epsilon: float = 1e-8
    base_weights: _by_task.Values = None
    sizes: _by_task.Values = None
    size_exponent: float = 0.0

    def init(self, tasks: int) -> State:
        _by_task.refuse_wrong_number(tasks, base_weights=self.base_weights, sizes=self.sizes)
        return {}

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        if self.scale == "own_loss":
            scale = np.maximum(np.abs(signals.losses), self.epsilon)
        else:
            spread = standard_deviation(signals)
            scale = np.where(spread > self.epsilon, spread, 1.0)
        importance = _by_task.array(self.base_weights) * _by_task.array(self.sizes) ** self.size_exponent
        return importance / scale * signals.active, state


def standard_deviation(signals: Signals) -> Array:
    """Return the standard deviation [..., 1] of the active tasks' losses, over T; 0 without any."""
    count = np.maximum(signals.active.sum(-1, keepdims=True), 1)
    mean = signals.losses.sum(-1, keepdims=True) / count
    deviation = (signals.losses - mean) * signals.active
    return np.asarray(np.sqrt((deviation**2).sum(-1, keepdims=True) / count))
