"""The sum of the losses' logarithms."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing.contract import AdaptiveMethod, Array, Random, Signals, State
from mtctl.part import NonNegativeFloat


class LogLoss(AdaptiveMethod):
    """The sum of the losses' logarithms, which does not see their scale.

        minimise Σᵢ log(Lᵢ + ε);   wᵢ = 1/(Lᵢ + ε)

    A constant factor of a loss changes nothing. Strong, cheap, and without a setting that needs tuning: the
    baseline to beat. The smaller a loss gets, the longer its gradient becomes: towards the end the batch
    noise of a nearly solved task weighs as much as any task's progress. With ε = 0, a task whose loss is 0
    has nothing left to learn and is left out.

    Helps: where losses are positive and in different units: the first method to try there.

    Fails: where a loss nears 0 and its noise comes to weigh as much as any task's progress, and where losses
    may be negative.

    Costs nothing besides the backward pass of the weighted sum.

    Raises:
        SignalError: a loss is negative, so that its logarithm does not exist.

    Source: the scale-invariant baseline of Navon et al., 2022 (arXiv 2202.01017).
    """

    kind: Literal["log"] = "log"
    epsilon: NonNegativeFloat = 0.0
    """ε, added to each loss before its logarithm; a loss far below it is no longer rescaled."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so its logarithm does not exist")
        shifted = signals.losses + self.epsilon
        taking_part = signals.active & (shifted > NEGLIGIBLE)
        return taking_part / np.where(taking_part, shifted, 1.0), state
