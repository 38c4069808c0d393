"""Homoscedastic uncertainty weighting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _adam
from mtctl.balancing._positive import refuse_negative
from mtctl.balancing.contract import Array, Balancer, Signals, State

# Of s: a weight of ½·e²⁰ = 2.4e8. Without it, a loss that stays 0 has a weight that grows without end.
LOWEST = -20.0


@dataclass(frozen=True)
class Uncertainty(Balancer):
    """Weights from each task's learned noise level.

        minimise Σᵢ ½·e^(−sᵢ)·Lᵢ + ½·sᵢ  over network and s = log σ²;   wᵢ = ½·e^(−sᵢ)

    The fixed point is σᵢ² = Lᵢ, wᵢ = 1/(2Lᵢ): LARGE losses get SMALL weights. The total may be negative; a
    loss may not: its s would fall for ever, and its weight take over the network. So would that of a loss
    that stays 0: s stays above −20, weights below 2.4e8.

    Helps: in long trainings whose losses differ in unit or in noise.

    Fails: in short ones: at `lr` 5e-4 a weight takes some 1400 steps to double. Where a loss begins in the
    hundreds, Adam's memory of the first gradients of s holds its weight back for thousands more.

    Args:
        lr: Adam's learning rate of s, without weight decay; 5e-4, the networks' own default.
        initial_log_variance: s before the first step; 0 (σ = 1, w = ½).

    Raises:
        SignalError: a loss is negative, so that no noise level explains it.

    Source: Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty, 2018 (arXiv 1705.07115).
    """

    lr: float = 5e-4
    initial_log_variance: float = 0.0

    def init(self, tasks: int) -> State:
        return {"log_variances": np.full(tasks, self.initial_log_variance), **_adam.init(tasks)}

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so that no noise level explains it")
        s = state["log_variances"]
        weights = 0.5 * np.exp(-s)
        gradient = 0.5 - weights * signals.losses
        moved, adam = _adam.move(s, gradient, state, self.lr, signals.active)
        moved = np.maximum(moved, np.minimum(s, LOWEST))  # s may have been set below it
        return weights * signals.active, {"log_variances": moved, **adam}
