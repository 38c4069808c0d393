"""Dynamic weight average: more weight to tasks whose loss falls more slowly."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import AdaptiveMethod, Array, Random, Signals, State
from mtctl.part import PositiveFloat, PositiveInt


class DWA(AdaptiveMethod):
    """Dynamic weight average: more weight to tasks whose loss falls more slowly (Liu et al., 2019).

        rᵢ = L̄ᵢ(t−1)/L̄ᵢ(t−2),   w = T·softmax(r/τ)

    L̄ᵢ(t−1) and L̄ᵢ(t−2) are the means of task i's last two complete windows; a task that has not completed two
    has rᵢ = 1, so that at first all weights are 1. T and the softmax are over the active tasks, and each task
    counts its own steps.

    The rule is blind to scale: a loss a million times larger still gets the weight of its rate. Rates are
    near 1, so that with τ = 2 weights stay near 1 as well, unless a loss explodes: rᵢ = 20 takes everything.

    Helps: where losses are on one scale and some tasks learn faster than others.

    Fails: where scales differ, which it does not see, and where losses are noisy or rise, as in reinforcement
    learning.

    Costs nothing besides the backward pass of the weighted sum.

    Raises:
        SignalError: a loss is negative, so that a ratio of losses says nothing about their fall.

    Source: Liu, Johns & Davison, End-to-End Multi-Task Learning with Attention, 2019 (arXiv 1803.10704).
    """

    kind: Literal["dwa"] = "dwa"
    window: PositiveInt = 100
    """Steps whose mean loss is compared with that of the steps before; the paper's window is an epoch."""
    temperature: PositiveFloat = 2.0
    """τ: the higher, the nearer all weights are to 1; the paper's."""

    def init(self, tasks: tuple[str, ...]) -> State:
        return {name: np.zeros(len(tasks)) for name in ("sum", "steps", "newer", "older")}

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so the ratio of its means is undefined")
        active, newer, older = signals.active, state["newer"], state["older"]
        known = older > NEGLIGIBLE  # 0 until two windows are complete
        rates = np.where(known, newer / np.where(known, older, 1.0), 1.0)
        weights = active.sum(-1, keepdims=True) * softmax(rates / self.temperature, active)

        total, steps = state["sum"] + signals.losses * active, state["steps"] + active
        full = steps == self.window
        return weights, {
            "sum": np.where(full, 0.0, total),
            "steps": np.where(full, 0.0, steps),
            "newer": np.where(full, total / self.window, newer),
            "older": np.where(full, newer, older),
        }
