"""IMTL-L: learned scales that bring every loss to 1."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mtctl.balancing import _adam
from mtctl.balancing._positive import refuse_negative
from mtctl.balancing.contract import AdaptiveMethod, Array, Random, Signals, State
from mtctl.part import PositiveFloat


class IMTLL(AdaptiveMethod):
    """IMTL-L: learned scales that bring every loss to 1: Σ e^s·L − s (Liu et al., 2021).

        minimise Σᵢ e^{sᵢ}·Lᵢ − sᵢ  over network and s;   wᵢ = e^{sᵢ}

    The fixed point is e^{sᵢ} = 1/Lᵢ, every weighted loss 1: that of Σ log L, reached at the pace of Adam. It
    is `Uncertainty` in another notation (twice its objective with s = −log σ²), but weights start at 1.
    Nothing in the objective bounds s as a loss goes to 0, so s stays within ±`limit`. A negative loss, which
    no weight brings to 1, would drive s there.

    Helps: in long trainings whose losses are in different units: weights follow slowly, past the noise of
    batches.

    Fails: in short ones, and where a loss begins in the hundreds, for the same reasons as `Uncertainty`.
    `log` reaches the same balance at once.

    Costs nothing besides the backward pass of the weighted sum.

    Raises:
        SignalError: a loss is negative, so that no weight brings it to 1.

    Source: Liu et al., Towards Impartial Multi-Task Learning, ICLR 2021.
    """

    kind: Literal["imtl_l"] = "imtl_l"
    lr: PositiveFloat = 5e-4
    """Adam's learning rate of s, without weight decay; the network's default."""
    limit: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Largest |s|: nothing else bounds it as a loss goes to 0."""

    def init(self, tasks: tuple[str, ...]) -> State:
        return {"log_weights": np.zeros(len(tasks)), **_adam.init(len(tasks))}

    def parameters(self, tasks: int) -> int:
        return tasks

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so no weight brings it to 1")
        s = state["log_weights"]
        weights = np.exp(s)
        s, adam = _adam.move(s, weights * signals.losses - 1, state, self.lr, signals.active)
        return weights * signals.active, {"log_weights": np.clip(s, -self.limit, self.limit), **adam}
