"""Losses divided by their running mean."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing._average import Momentum
from mtctl.balancing._by_task import SizedMethod
from mtctl.balancing._positive import refuse_negative
from mtctl.balancing.contract import Array, Random, Signals, State
from mtctl.part import NonNegativeInt

# A mean this small is no scale: the loss is used as it is. The documented normaliser's figure.
NOTHING = 1e-8


class RunningMean(SizedMethod):
    """Each loss divided by its own running mean.

        wᵢ = bᵢ·dᵢ^p / mᵢ
        mᵢ ← ((n − 1)·mᵢ + Lᵢ)/n  in the task's first `warmup_steps` steps, then  mᵢ ← μ·mᵢ + (1 − μ)·Lᵢ

    The mean includes this step's loss, and counts as a constant: wᵢ·Lᵢ hovers around bᵢ·dᵢ^p while its
    gradient is that of Lᵢ/mᵢ. Dividing by the mean cancels ANY constant factor of a loss, be it a unit, a
    weight or `sum` instead of `mean`. So √d does not undo a mean over d elements: that factor has already
    cancelled, and dᵢ^p is one more manual weight. The mean and step count of an inactive task do not change.

    Where mᵢ ≤ 1e-8 (a task that is solved, or has shown nothing but zeros) the loss is used as it is:
    wᵢ = bᵢ·dᵢ^p.

    Helps: where losses are positive and in different units; cheap, and good from the first steps on.

    Fails: where a loss nears 0 and its noise comes to weigh as much as any task's progress. Conflicts are not
    seen.

    Costs nothing besides the backward pass of the weighted sum.

    Raises:
        SignalError: a loss is negative: its mean may come near 0 from either side, which is no scale.

    Source: the loss normaliser of a published four-headed sequence model; no paper.
    """

    kind: Literal["running_mean"] = "running_mean"
    momentum: Momentum = 0.95
    """μ of the running mean; 0.95 forgets half in 13.5 steps."""
    warmup_steps: NonNegativeInt = 10
    """Steps of a plain mean before the running one, so that the first loss does not linger."""

    def init(self, tasks: tuple[str, ...]) -> State:
        return {"mean": np.zeros(len(tasks)), "steps": np.zeros(len(tasks))}

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so its running mean cannot be a scale")
        steps = state["steps"] + signals.active
        warming_up = steps <= max(self.warmup_steps, 1)
        gain = np.where(warming_up, 1 / np.maximum(steps, 1), 1 - self.momentum) * signals.active
        mean = (1 - gain) * state["mean"] + gain * signals.losses
        scale = np.where(mean > NOTHING, mean, 1.0)
        return self.importance(signals.tasks) / scale * signals.active, {"mean": mean, "steps": steps}
