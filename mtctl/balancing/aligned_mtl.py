"""AlignedMTL: gradients made orthogonal and equally long before they are added."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._preference import Reduction, preference
from mtctl.balancing._spectrum import INDEPENDENT, spectrum
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State


def alignment(gramian: Array) -> Array:
    """Return B [..., T, T] = √λ_min·V·Λ^(−½)·Vᵀ of G = V·Λ·Vᵀ: the rows of B·J are orthogonal, √λ_min long.

    Eigenvalues of 0 are left out: of gradients that depend on others, and of those that are 0. G's factor
    F = diag(‖g‖)·Ĝ^(½) is decomposed in place of G, so that short gradients are not lost beside long ones.

    Args:
        gramian: [..., T, T] G.
    """
    direct = _of_independent(gramian)
    if direct is not None:
        return direct
    if gramian.ndim > 2:  # each run of a stack by itself: whether others are regular must not matter
        return np.stack([alignment(run) for run in gramian])
    unit = unit_gradients(gramian)
    values, vectors = spectrum(unit.cosines)
    relative = unit.lengths / unit.lengths.max(-1, keepdims=True)
    factor = relative[..., :, None] * vectors * np.sqrt(values)[..., None, :]
    left, singular, _ = np.linalg.svd(factor)
    present = np.arange(values.shape[-1]) < np.count_nonzero(values, axis=-1)[..., None]
    kept = present & (singular > 0)  # beyond a spread of about 1e16 a short gradient's is rounded to 0
    smallest = np.where(kept, singular, np.inf).min(-1, keepdims=True)
    shrunk = np.where(kept, np.where(kept, smallest, 0.0) / np.where(kept, singular, 1.0), 0.0)
    # Rounding may leave the row of a gradient that is 0 a little beside 0.
    return np.asarray(unit.moving[..., None] * left * shrunk[..., None, :] @ np.swapaxes(left, -1, -2))


def _of_independent(gramian: Array) -> Array | None:
    """Return B by G's own eigenvalues, if these are so close together that rounding spares all of them."""
    values, vectors = np.linalg.eigh(gramian)
    smallest = values[..., :1]
    if not np.logical_and.reduce(smallest > INDEPENDENT * values[..., -1:], axis=None):
        return None
    shrunk = np.sqrt(smallest / values)
    return np.asarray((vectors * shrunk[..., None, :]) @ np.swapaxes(vectors, -1, -2))


class AlignedMTL(GradientMethod):
    """Gradients made orthogonal and equally long before they are added (Senushkin et al., 2023).

    They are changed as little as possible.

        w = √λ_min·V·Λ^(−½)·Vᵀ·p,   G = V·Λ·Vᵀ;   p = 1/T or 1 for every task

    The system of gradients that is combined has condition number 1: no task dominates, none conflicts.

    All are as long as the weakest direction, √λ_min: when one gradient vanishes, or two come to depend on
    each other, the step vanishes for every task, and jumps back once a direction is so weak that it counts
    as 0. Weights may be negative.

    Helps: where tasks conflict and dominate each other but all gradients stay of some size.

    Fails: when one gradient vanishes or two become parallel: the step then vanishes for every task.

    Costs T backward passes through the shared parameters and two T×T decompositions.

    Source: Senushkin et al., Independent Component Alignment for Multi-Task Learning, 2023
    (arXiv 2305.19000).
    """

    kind: Literal["aligned_mtl"] = "aligned_mtl"
    reduction: Reduction = "mean"
    """`mean` of the aligned gradients as in the paper, or their `sum`."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        p = preference(signals.active, self.reduction)
        return (alignment(signals.gramian) @ p[..., None])[..., 0], state
