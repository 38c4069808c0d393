"""Nash-MTL: the update as a bargain between the tasks, solved exactly."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing import _newton
from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State
from mtctl.part import PositiveFloat


def kkt_residual(gramian: Array, weights: Array) -> Array:
    """Return [...] max |αᵢ·(Gα)ᵢ − 1| for α = weights [..., T], over tasks whose gradient is not 0.

    Where (Gα)ᵢ is a difference of terms more than 1e7 times larger, it is compared with these instead.
    """
    return _newton.residual(unit_gradients(gramian), weights, 1.0)


class NashMTL(GradientMethod):
    """Nash's bargaining solution between the tasks, solved exactly (Navon et al., 2022).

    d is the direction with the largest product of the tasks' improvements.

        Gα = 1/α,   the minimum of ½·αᵀGα − Σ log αᵢ;   w = α,   hence   ⟨gᵢ, d⟩ = 1/αᵢ > 0  and  ‖d‖² = T

    The lengths of the gradients do not matter: d is the same whatever each loss is multiplied with. So d does
    not shrink as training converges either: ‖d‖ = √T always, which a learning rate schedule (or Adam, which
    takes no notice of lengths) has to make up for.

    Where no step improves every task there is no solution, and weights are near 1e5/‖gᵢ‖ for tasks in full
    conflict: they cancel each other but for rounding, and the rest of the tasks bargain on.

    The official solver, a sequence of convex programs, is wrong once lengths differ by a factor of 100, and
    then silently returns its previous weights. This is Newton's method on the T×T equation.

    Helps: where losses are on different scales and tasks conflict.

    Fails: with plain SGD at a constant learning rate: ‖d‖ = √T to the end. Tasks in full conflict cancel each
    other.

    Costs T backward passes through the shared parameters and half a dozen T×T systems.

    Raises:
        ConvergenceError: the solution does not satisfy the equation.

    Source: Navon et al., Multi-Task Learning as a Bargaining Game, 2022 (arXiv 2202.01017).
    """

    kind: Literal["nash_mtl"] = "nash_mtl"
    max_norm: PositiveFloat | None = None
    """Shorten the update to this length, as the official code does (1); null: ‖d‖ = √T, as in the paper."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        unit = unit_gradients(signals.gramian)
        weights = _newton.fair_weights(unit, 1.0, "Nash-MTL")
        if self.max_norm is not None:
            shares = weights * unit.lengths
            squares = (shares * (unit.cosines @ shares[..., None])[..., 0]).sum(-1, keepdims=True)
            weights = weights * self.max_norm / np.sqrt(np.maximum(squares, self.max_norm**2))
        return weights, state
