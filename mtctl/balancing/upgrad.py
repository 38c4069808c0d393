"""UPGrad: each task's gradient moved until it conflicts with no task, then their sum."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing import dualproj
from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._preference import Reduction, preference
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State


def project_each(cosines: Array) -> Array:
    """Return U [..., T, T]: row i is argmin_{u ≥ eᵢ} uᵀĜu, the projected ĝᵢ in terms of all unit gradients.

    Args:
        cosines: [..., T, T] Ĝ, Gramian of unit gradients.

    Raises:
        ConvergenceError: a solution does not satisfy its optimality conditions.
    """
    if cosines.min(initial=0.0) >= 0:  # no conflict, as in most steps of most runs: nothing to project
        return np.broadcast_to(np.eye(cosines.shape[-1]), cosines.shape)
    return dualproj.project(*problems(cosines), "UPGrad")


def problems(cosines: Array) -> tuple[Array, Array]:
    """Return Ĝ [..., T, T, T] and p [..., T, T] of the T projections of `project_each`."""
    floors = np.broadcast_to(np.eye(cosines.shape[-1]), cosines.shape)
    return np.broadcast_to(cosines[..., None, :, :], (*cosines.shape, cosines.shape[-1])), floors


class UPGrad(GradientMethod):
    """Each gradient moved until it conflicts with no task, then combined (Quinton & Rey, 2024).

        w = Σᵢ argmin_{u ≥ pᵢ·eᵢ} uᵀGu,   hence   ⟨gᵢ, d⟩ ≥ 0  for every task;   p = 1/T or 1 for every task

    PCGrad approximates this one pair at a time: with two tasks and p = 1 both are the same, with more only
    UPGrad keeps the promise. Scaling one task's loss scales its share of d and nothing else.

    Helps: where tasks conflict and none may get worse.

    Fails: where scales differ: the longest gradient leads, as in the plain sum. Use it after a method on
    losses or norms there.

    Costs T backward passes through the shared parameters and T problems of size T×T, none of them where no
    two gradients conflict.

    Raises:
        ConvergenceError: a solution does not satisfy its optimality conditions.

    Source: Quinton & Rey, Jacobian Descent for Multi-Objective Optimization, 2024 (arXiv 2406.16232).
    """

    kind: Literal["upgrad"] = "upgrad"
    reduction: Reduction = "mean"
    """`mean` of the projected gradients as in the paper, or their `sum`."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        unit = unit_gradients(signals.gramian)
        lengths = unit.lengths / unit.lengths.max(-1, keepdims=True)
        shares = preference(signals.active, self.reduction) * lengths * unit.moving
        return (shares[..., None, :] @ project_each(unit.cosines))[..., 0, :] / lengths, state
