"""DualProj: the mean gradient, moved until it conflicts with no task."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing import _active_set
from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._preference import Reduction, preference
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State


def project(cosines: Array, floors: Array, method: str) -> Array:
    """Return u [..., T] = argmin_{u ≥ p} uᵀĜu.

    Σ uᵢ·ĝᵢ is the vector nearest to Σ pᵢ·ĝᵢ that has no negative product with any gradient: its projection
    onto their dual cone.

    Args:
        cosines: [..., T, T] Ĝ, Gramian of unit gradients.
        floors: [..., T] p.
        method: whose minimisation it is.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.
    """
    pulls = -(cosines @ floors[..., None])[..., 0]
    return np.asarray(floors + _active_set.minimise(cosines, pulls, np.maximum(pulls, 0.0), method))


def kkt_residual(cosines: Array, floors: Array, projected: Array) -> Array:
    """Return [...] by how much u [..., T] misses the optimality conditions of `project`, in units of max |u|.

    uᵢ ≥ pᵢ and ⟨ĝᵢ, Σ uⱼ·ĝⱼ⟩ ≥ 0, one of the two tight for each task.
    """
    size = np.abs(projected).max(-1)
    misses = np.minimum(projected - floors, (cosines @ projected[..., None])[..., 0])
    return np.asarray(np.abs(misses).max(-1) / np.where(size > 0, size, 1.0))


class DualProj(GradientMethod):
    """The mean gradient, moved until it conflicts with no task (Lopez-Paz & Ranzato, 2017).

        w = argmin_{u ≥ p} uᵀGu,   hence   ⟨gᵢ, d⟩ ≥ 0  for every task;   p = 1/T or 1 for every task

    Without conflict between mean and tasks d is the mean itself. Unlike PCGrad the promise holds for any
    number of tasks.

    Helps: where now and then the mean harms a task with a short gradient.

    Fails: to let such a task learn: its product with d is then exactly 0, so it gets neither worse nor
    better; UPGrad also adds a part for it.

    Costs T backward passes through the shared parameters and a T×T problem.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.

    Source: Lopez-Paz & Ranzato, Gradient Episodic Memory, 2017 (arXiv 1706.08840), eq. 11; as a balancing
    method: Quinton & Rey, Jacobian Descent, 2024 (arXiv 2406.16232).
    """

    kind: Literal["dualproj"] = "dualproj"
    reduction: Reduction = "mean"
    """What is moved: the `mean` of the gradients, or their `sum`."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        unit = unit_gradients(signals.gramian)
        # Relative to the longest gradient, so that no product overflows.
        lengths = unit.lengths / unit.lengths.max(-1, keepdims=True)
        floors = preference(signals.active, self.reduction) * lengths * unit.moving
        return project(unit.cosines, floors, "DualProj") / lengths, state
