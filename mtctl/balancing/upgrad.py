"""UPGrad: each task's gradient moved until it conflicts with no task, then their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import dualproj
from mtctl.balancing._preference import Reduction, preference
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, Balancer, Signals, Space, State


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


@dataclass(frozen=True)
class UPGrad(Balancer):
    """Each task's gradient, projected onto the directions that conflict with no task; then their sum.

        w = Σᵢ argmin_{u ≥ pᵢ·eᵢ} uᵀGu,   hence   ⟨gᵢ, d⟩ ≥ 0  for every task;   p = 1/T or 1 for every task

    What PCGrad approximates one pair at a time: with two tasks and p = 1 both are the same, with more only
    this one keeps the promise. Scaling one task's loss scales its share of d and nothing else.

    Helps: where tasks conflict and none may get worse.

    Fails: where scales differ: the longest gradient leads, as in the plain sum. Use it after a method on
    losses or norms there.

    Costs T backward passes through the shared parameters and T problems of size T×T, none of them where no
    two gradients conflict.

    Args:
        reduction: p = 1/T (`mean`, over the active tasks, as in the paper) or 1 (`sum`, steps T times as
            long, on the scale of the plain sum of losses).
        space: where inner products are measured; all shared parameters.

    Raises:
        ConvergenceError: a solution does not satisfy its optimality conditions.

    Source: Quinton & Rey, Jacobian Descent for Multi-Objective Optimization, 2024 (arXiv 2406.16232).
    """

    reduction: Reduction = "mean"
    space: Space = "all_shared"

    needs = frozenset({"gramian"})
    scope = "shared"

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        unit = unit_gradients(signals.gramian)
        lengths = unit.lengths / unit.lengths.max(-1, keepdims=True)
        shares = preference(signals.active, self.reduction) * lengths * unit.moving
        return (shares[..., None, :] @ project_each(unit.cosines))[..., 0, :] / lengths, state
