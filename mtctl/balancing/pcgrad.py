"""PCGrad: gradient surgery on coefficients."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._preference import Reduction
from mtctl.balancing.contract import Array, Random, Signals, State

# Below the smallest normal number 1/‖g‖² overflows; such a gradient is 0 next to any other.
_TINY = np.finfo(np.float64).tiny


def project(gramian: Array, order: NDArray[np.intp]) -> Array:
    """Return coefficients C [..., T, T]: row i is what task i's gradient becomes, in terms of all gradients.

        C = I;   for each i, for j ≠ i in order:   if (C·G)ᵢⱼ < 0:   Cᵢⱼ ← Cᵢⱼ − (C·G)ᵢⱼ / Gⱼⱼ

    Args:
        gramian: [..., T, T] G; a task whose gradient is 0 neither moves others nor is moved.
        order: [..., T, T]; row i is the order, a permutation of all tasks, in which i meets the others.
    """
    tasks = gramian.shape[-1]
    if gramian.min(initial=0.0) >= 0:  # no conflict, as in most steps of most runs: nothing to project
        return np.broadcast_to(np.eye(tasks), gramian.shape)
    # The rows of C do not see each other: all rows of all batches take their k-th projection at once.
    grams, order = gramian.reshape(-1, tasks, tasks), order.reshape(-1, tasks)
    row = np.arange(len(order))
    batch, own = row // tasks, row % tasks
    coefficients = np.tile(np.eye(tasks), (len(grams), 1))
    products = grams.reshape(-1, tasks).copy()  # C·G, kept up to date instead of being multiplied out
    lengths = np.diagonal(grams, axis1=-2, axis2=-1)
    gains = (lengths > _TINY) / -np.maximum(lengths, _TINY)
    for j in order.T:
        step = np.minimum(products[row, j], 0.0) * gains[batch, j] * (j != own)
        coefficients[row, j] += step
        products += step[:, None] * grams[batch, j]
    return coefficients.reshape(gramian.shape)


class PCGrad(GradientMethod):
    """Projects conflicting gradients onto each other's normal plane (Yu et al., 2020).

        wⱼ = Σᵢ Cᵢⱼ,  C as in `project`, each task meeting the others in an order drawn anew at each step

    Projections are against the ORIGINAL gradients, so that for T ≥ 3 the result may still conflict with some.

    Helps: with two or three tasks whose gradients are of similar length and often conflict.

    Fails: where one gradient is much longer: it still leads. With T ≥ 3 tasks the result may conflict with
    some.

    Source: Yu et al., Gradient Surgery for Multi-Task Learning, 2020 (arXiv 2001.06782).
    """

    kind: Literal["pcgrad"] = "pcgrad"
    reduction: Reduction = "sum"
    """How projected gradients are combined: `sum` as in the paper, `mean` as in the published study."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        order = rng.permutations(signals.gramian.shape)
        weights = np.add.reduce(project(signals.gramian, order), axis=-2) * signals.active
        if self.reduction == "mean":
            weights /= np.maximum(signals.active.sum(-1, keepdims=True), 1)
        return weights, state
