"""Homoscedastic uncertainty weighting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _adam
from mtctl.balancing.contract import Array, Balancer, Signals, State


@dataclass(frozen=True)
class Uncertainty(Balancer):
    """Weights from each task's learned noise level.

        minimise Σᵢ ½·e^(−sᵢ)·Lᵢ + ½·sᵢ  over network and s = log σ²;   wᵢ = ½·e^(−sᵢ)

    The fixed point is σᵢ² = Lᵢ, wᵢ = 1/(2Lᵢ): LARGE losses get SMALL weights. The total may be negative.

    Helps: in long trainings whose losses differ in unit or in noise.

    Fails: in short ones: at `lr` 5e-4 a weight takes some 1400 steps to double. Where a loss begins in the
    hundreds, Adam's memory of the first gradients of s holds its weight back for thousands more.

    Args:
        lr: Adam's learning rate of s, without weight decay; 5e-4, the networks' own default.
        initial_log_variance: s before the first step; 0 (σ = 1, w = ½).

    Source: Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty, 2018 (arXiv 1705.07115).
    """

    lr: float = 5e-4
    initial_log_variance: float = 0.0

    def init(self, tasks: int) -> State:
        return {"log_variances": np.full(tasks, self.initial_log_variance), **_adam.init(tasks)}

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        s = state["log_variances"]
        weights = 0.5 * np.exp(-s)
        gradient = 0.5 - weights * signals.losses
        s, adam = _adam.move(s, gradient, state, self.lr, signals.active)
        return weights * signals.active, {"log_variances": s, **adam}
