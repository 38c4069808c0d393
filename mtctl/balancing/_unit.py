"""Gradients taken apart into directions and lengths: gᵢ = ‖gᵢ‖·ĝᵢ.

Most methods ask for directions alone, or for lengths at the end. On unit gradients their equations neither
overflow nor lose the short gradients beside long ones, whatever the losses' scales.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mtctl.balancing.contract import Array, Mask

# Below the smallest normal number 1/‖g‖² overflows; such a gradient is 0 next to any other.
_TINY = np.finfo(np.float64).tiny


class UnitGradients(NamedTuple):
    """Directions and lengths of T gradients.

    Args:
        cosines: [..., T, T] Ĝᵢⱼ = ⟨ĝᵢ, ĝⱼ⟩; rows and columns of tasks whose gradient is 0 are 0.
        lengths: [..., T] ‖gᵢ‖; the longest one's where the gradient is 0, so that all can be divided by.
        moving: [..., T]; False where the gradient is 0, as it is for inactive tasks.
    """

    cosines: Array
    lengths: Array
    moving: Mask


def unit_gradients(gramian: Array) -> UnitGradients:
    """Return directions and lengths of gradients with Gramian [..., T, T]."""
    squares = np.diagonal(gramian, axis1=-2, axis2=-1)
    moving = squares > _TINY
    if np.logical_and.reduce(moving, axis=None):
        lengths = np.sqrt(squares)
        return UnitGradients(gramian / lengths[..., :, None] / lengths[..., None, :], lengths, moving)
    longest = np.maximum.reduce(squares, axis=-1, keepdims=True)
    lengths = np.sqrt(np.where(moving, squares, np.where(longest > _TINY, longest, 1.0)))
    # Divided one by one: the product of two small lengths may underflow.
    cosines = gramian / lengths[..., :, None] / lengths[..., None, :]
    cosines *= moving[..., :, None] & moving[..., None, :]
    return UnitGradients(cosines, lengths, moving)


def condition(cosines: Array) -> float:
    """Return the condition number of Ĝ [T, T] without the rows of gradients that are 0."""
    moving = cosines.diagonal() > 0
    return float(np.linalg.cond(cosines[moving][:, moving]))
