"""MGDA: the shortest vector in the convex hull of the gradients, solved exactly."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing import _active_set
from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._unit import UnitGradients, unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State


def shortest(gramian: Array) -> Array:
    """Return w [..., T] = argmin_{w ∈ Δ} wᵀGw; 0 for tasks whose gradient is 0, all 0 if all are.

    With vᵢ = wᵢ·‖gᵢ‖, bᵢ = s/‖gᵢ‖ and s the shortest length this is the minimum of vᵀĜv on the plane bᵀv = s,
    up to a factor that of vᵀĜv + (bᵀv − 1)² over v ≥ 0: a problem that is bounded whatever the gradients.

    Args:
        gramian: [..., T, T] G.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.
    """
    unit, bounds = _problem(gramian)
    matrices = unit.cosines + bounds[..., :, None] * bounds[..., None, :]
    everyone = unit.moving.astype(np.float64)
    weights = bounds * _active_set.minimise(matrices, bounds, everyone, "MGDA")
    total = np.add.reduce(weights, axis=-1, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1.0))


def kkt_residual(gramian: Array, weights: Array) -> Array:
    """Return [...] by how much weights [..., T] miss the optimality conditions of `shortest`, relative.

    wᵢ ≥ 0 and ⟨gᵢ, d⟩ ≥ ‖d‖², one of the two tight for each task; in unit gradients, in units of Σ wⱼ·‖gⱼ‖.
    """
    unit, bounds = _problem(gramian)
    v = weights * unit.lengths * unit.moving
    size = np.abs(v).sum(-1, keepdims=True)
    v = v / np.where(size > 0, size, 1.0)
    products = np.asarray((unit.cosines @ v[..., None])[..., 0])
    total = (v * bounds).sum(-1, keepdims=True)
    level = (v * products).sum(-1, keepdims=True) / np.where(total > 0, total, 1.0)
    return np.asarray(np.abs(np.minimum(v, products - level * bounds)).max(-1))


def _problem(gramian: Array) -> tuple[UnitGradients, Array]:
    """Return unit gradients and b [..., T]."""
    unit = unit_gradients(gramian)
    return unit, unit.lengths.min(-1, keepdims=True) / unit.lengths * unit.moving


class MGDA(GradientMethod):
    """The shortest vector in the convex hull of the gradients, solved exactly (Sener & Koltun, 2018).

    It is the steepest descent that all tasks share.

        w = argmin_{w ∈ Δ} wᵀGw,   hence   ⟨gᵢ, d⟩ ≥ ‖d‖²  for every task

    d is 0 exactly where no step improves every task. The solution is exact: at 40 tasks the usual hundred
    Frank-Wolfe steps end 1.6 times too far from 0, on a vector that is not even a descent direction.

    The weights sum to 1, and long gradients get small ones: a task whose gradient is k times shorter than
    those of the others sets the step nearly alone, so that losses on different scales, or a task that has
    almost converged, stall the rest. A task whose gradient is 0 would stop every other; it is left out.

    Helps: where tasks conflict strongly and their losses are on one scale.

    Fails: where scales differ or one task has nearly converged: the shortest gradient sets the step, and the
    others stall.

    Costs T backward passes through the shared parameters and a T×T problem.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.

    Source: Sener & Koltun, Multi-Task Learning as Multi-Objective Optimization, 2018 (arXiv 1810.04650).
    """

    kind: Literal["mgda"] = "mgda"

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        return shortest(signals.gramian), state
