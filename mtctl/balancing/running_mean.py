"""Losses divided by their running mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _by_task
from mtctl.balancing._positive import refuse_negative
from mtctl.balancing.contract import Array, Balancer, Signals, State

# A mean this small is no scale: the loss is used as it is. The documented normaliser's figure.
NOTHING = 1e-8


@dataclass(frozen=True)
class RunningMean(Balancer):
    """Each loss in units of its own running mean.

        wᵢ = bᵢ·dᵢ^p / mᵢ
        mᵢ ← ((n − 1)·mᵢ + Lᵢ)/n  in the task's first `warmup_steps` steps, then  mᵢ ← μ·mᵢ + (1 − μ)·Lᵢ

    The mean includes this step's loss, and counts as a constant: wᵢ·Lᵢ hovers around bᵢ·dᵢ^p while its
    gradient is that of Lᵢ/mᵢ. Dividing by the mean cancels ANY constant factor of a loss, be it a unit, a
    weight or `sum` instead of `mean`. So √d does not mend what a mean over d elements has done: that factor
    is gone already, and dᵢ^p is one more manual weight. A task rests (mean and clock) while it is inactive.

    Where mᵢ ≤ 1e-8 (a task that is solved, or has shown nothing but zeros) the loss is used as it is:
    wᵢ = bᵢ·dᵢ^p.

    Helps: where losses are positive and in different units; cheap, and good from the first steps on.

    Fails: where a loss nears 0 and its noise comes to weigh as much as anybody's progress. Conflicts are not
    seen.

    Costs nothing besides the backward pass of the weighted sum.

    Args:
        momentum: μ, 0 ≤ μ < 1; 0.95, a half-life of 13.5 steps.
        warmup_steps: n of the plain mean; 10, so that the first loss does not linger.
        base_weights: [T] bᵢ; 1 each if left out.
        sizes: [T] dᵢ, numbers of output elements; 1 each if left out.
        size_exponent: p; 0: sizes do not count. 0.5 multiplies by √d.

    Raises:
        ValueError: the number of base weights or sizes is not the number of tasks.
        SignalError: a loss is negative: its mean may come near 0 from either side, which is no scale.

    Source: the loss normaliser of a published four-headed sequence model; no paper.
    """

    momentum: float = 0.95
    warmup_steps: int = 10
    base_weights: _by_task.Values = None
    sizes: _by_task.Values = None
    size_exponent: float = 0.0

    def init(self, tasks: int) -> State:
        _by_task.refuse_wrong_number(tasks, base_weights=self.base_weights, sizes=self.sizes)
        return {"mean": np.zeros(tasks), "steps": np.zeros(tasks)}

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so that its running mean is no scale")
        steps = state["steps"] + signals.active
        warming_up = steps <= max(self.warmup_steps, 1)
        gain = np.where(warming_up, 1 / np.maximum(steps, 1), 1 - self.momentum) * signals.active
        mean = (1 - gain) * state["mean"] + gain * signals.losses
        scale = np.where(mean > NOTHING, mean, 1.0)
        importance = _by_task.array(self.base_weights) * _by_task.array(self.sizes) ** self.size_exponent
        return importance / scale * signals.active, {"mean": mean, "steps": steps}
