"""IMTL-G: the update with equal projections on all gradients."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._spectrum import ROUNDING, equiangular
from mtctl.balancing._unit import condition, unit_gradients
from mtctl.balancing.contract import Array, ConvergenceError, Random, Signals, State


def equal_projections(gramian: Array) -> Array:
    """Return w [..., T] with equal ⟨ĝᵢ, Jᵀw⟩ and Σ wᵢ = 1; 0 for tasks whose gradient is 0.

    All weights are 0 where no vector has positive products with the gradients on average.

    Args:
        gramian: [..., T, T] G.

    Raises:
        ConvergenceError: weights with equal projections sum to 0, so that no factor makes their sum 1.
    """
    unit = unit_gradients(gramian)
    # Relative to the shortest gradient, so that no weight overflows.
    weights = equiangular(unit) * (np.minimum.reduce(unit.lengths, axis=-1, keepdims=True) / unit.lengths)
    total = np.add.reduce(weights, axis=-1, keepdims=True)
    size = np.add.reduce(np.abs(weights), axis=-1, keepdims=True)
    lost = (np.abs(total) <= ROUNDING * size) & (size > 0)
    if np.logical_or.reduce(lost, axis=None):
        place = np.unravel_index(lost.argmax(), lost.shape)[:-1]
        miss = abs(float(total[*place, 0]) / float(size[*place, 0]) - 1)
        raise ConvergenceError("IMTL-G", miss, ROUNDING, condition(unit.cosines[place]))
    return np.asarray(weights / np.where(size > 0, total, 1.0))


class IMTLG(GradientMethod):
    """The update with equal projections on all gradients (Liu et al., 2021); weights may be negative.

        ⟨ĝᵢ, d⟩ = ⟨ĝⱼ, d⟩  for all tasks,  Σ wᵢ = 1;   w ∝ Ĝ⁺·1 / ‖g‖

    Every task improves by the same length along its own gradient, whatever its loss is multiplied with. Of
    gradients that depend on each other, the projections are as equal as they can be.

    Weights may be negative, and with them the common projection: where a short gradient gets a negative
    weight, the sum of all weights can be negative or near 0, and d then leads every task uphill, or is very
    long. ConFIG takes the same line, never uphill, at a length that does not explode.

    Helps: with few tasks (two or three) whose losses are on different scales.

    Fails: with many tasks, or with gradients that nearly depend on each other: weights turn negative and the
    step long.

    Costs T backward passes through the shared parameters; closed form.

    Raises:
        ConvergenceError: weights with equal projections sum to 0, so that no factor makes their sum 1.

    Source: Liu et al., Towards Impartial Multi-Task Learning, 2021 (ICLR).
    """

    kind: Literal["imtl_g"] = "imtl_g"

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        return equal_projections(signals.gramian), state
