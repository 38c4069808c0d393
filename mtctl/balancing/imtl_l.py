"""IMTL-L: learned scales that bring every loss to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _adam
from mtctl.balancing._positive import refuse_negative
from mtctl.balancing.contract import Array, Balancer, Signals, State


@dataclass(frozen=True)
class IMTLL(Balancer):
    """Learned weights under which all losses approach the same value.

        minimise Σᵢ e^{sᵢ}·Lᵢ − sᵢ  over network and s;   wᵢ = e^{sᵢ}

    The fixed point is e^{sᵢ} = 1/Lᵢ, every weighted loss 1: that of Σ log L, reached at the pace of Adam. It
    is `Uncertainty` in other letters (twice its objective with s = −log σ²), except that weights start at 1.
    Nothing in the objective bounds s as a loss goes to 0, so s stays within ±`limit`. A negative loss, which
    no weight brings to 1, would drive s there.

    Helps: in long trainings whose losses are in different units: weights follow slowly, past the noise of
    batches.

    Fails: in short ones, and where a loss begins in the hundreds, as `Uncertainty` does and for its reasons.
    `log` is at once where this leads.

    Costs nothing besides the backward pass of the weighted sum.

    Args:
        lr: Adam's learning rate of s, without weight decay; 5e-4, the networks' own default: a weight can
            double in 1400 steps.
        limit: largest |s|; 20, weights from 2e-9 to 5e8.

    Raises:
        SignalError: a loss is negative, so that no weight brings it to 1.

    Source: Liu et al., Towards Impartial Multi-Task Learning, ICLR 2021.
    """

    lr: float = 5e-4
    limit: float = 20.0

    def init(self, tasks: int) -> State:
        return {"log_weights": np.zeros(tasks), **_adam.init(tasks)}

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so that no weight brings it to 1")
        s = state["log_weights"]
        weights = np.exp(s)
        s, adam = _adam.move(s, weights * signals.losses - 1, state, self.lr, signals.active)
        return weights * signals.active, {"log_weights": np.clip(s, -self.limit, self.limit), **adam}
