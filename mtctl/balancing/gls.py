"""Geometric loss strategy: the geometric mean of the losses."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing._positive import NEGLIGIBLE, refuse_negative
from mtctl.balancing.contract import AdaptiveMethod, Array, Random, Signals, State


class GLS(AdaptiveMethod):
    """The geometric mean of the losses (Chennupati et al., 2019).

        minimise M = (Πᵢ Lᵢ)^{1/T} = exp(meanᵢ log Lᵢ);   wᵢ = ∂M/∂Lᵢ = M / (T·Lᵢ)

    Every task contributes the same wᵢ·Lᵢ = M/T: the direction is that of Σ log L, and the length follows the
    losses down, as that of the mean of losses does. One loss near 0 slows all tasks down with it. T and the
    mean are over the active tasks; a task whose loss is 0 has nothing left to learn and is left out.

    Helps: with a few tasks whose losses are positive and in different units.

    Fails: where one loss nears 0, which slows all tasks down, and where losses may be negative.

    Costs nothing besides the backward pass of the weighted sum.

    Raises:
        SignalError: a loss is negative, so that the mean does not exist.

    Source: Chennupati et al., MultiNet++, 2019 (arXiv 1902.08325).
    """

    kind: Literal["gls"] = "gls"

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        refuse_negative(signals.losses, "so the geometric mean does not exist")
        taking_part = signals.active & (signals.losses > NEGLIGIBLE)
        logs = np.log(np.where(taking_part, signals.losses, 1.0))
        count = np.maximum(taking_part.sum(-1, keepdims=True), 1)
        mean = logs.sum(-1, keepdims=True) / count
        return np.exp(mean - logs) / count * taking_part, state
