"""Homoscedastic uncertainty weighting."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing import _adam
from mtctl.balancing._positive import refuse_negative
from mtctl.balancing.contract import AdaptiveMethod, Array, Random, Signals, State
from mtctl.part import FiniteFloat, PositiveFloat

# Of s: a weight of ½·e²⁰ = 2.4e8. Without it, a loss that stays 0 has a weight that grows without end.
LOWEST = -20.0


class Uncertainty(AdaptiveMethod):
    """Homoscedastic uncertainty: Σ ½·e^(−s)·L + ½·s with learned s = log σ² (Kendall et al., 2018).

        minimise Σᵢ ½·e^(−sᵢ)·Lᵢ + ½·sᵢ  over network and s = log σ²;   wᵢ = ½·e^(−sᵢ)

    The fixed point is σᵢ² = Lᵢ, wᵢ = 1/(2Lᵢ): LARGE losses get SMALL weights. The total may be negative, but
    a loss may not: its s would fall for ever, and its weight would dominate. The same holds for a loss that
    stays 0, so s is kept above −20 and weights below 2.4e8.

    Helps: in long trainings whose losses differ in unit or in noise.

    Fails: in short ones: at `lr` 5e-4 a weight takes some 1400 steps to double. Where a loss begins in the
    hundreds, Adam's memory of the first gradients of s holds its weight back for thousands more.

    Raises:
        SignalError: a loss is negative, so that no noise level explains it.

    Source: Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty, 2018 (arXiv 1705.07115).
    """

    kind: Literal["uncertainty"] = "uncertainty"
    lr: PositiveFloat = 5e-4
    """Adam's learning rate of s, without weight decay; the network's default."""
    initial_log_variance: FiniteFloat = 0.0
    """s before the first step; 0: σ = 1, w = ½."""

    def init(self, tasks: tuple[str, ...]) -> State:
        return {"log_variances": np.full(len(tasks), self.initial_log_variance), **_adam.init(len(tasks))}

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so no noise level fits it")
        s = state["log_variances"]
        weights = 0.5 * np.exp(-s)
        gradient = 0.5 - weights * signals.losses
        moved, adam = _adam.move(s, gradient, state, self.lr, signals.active)
        moved = np.maximum(moved, np.minimum(s, LOWEST))  # s may have been set below it
        return weights * signals.active, {"log_variances": moved, **adam}
