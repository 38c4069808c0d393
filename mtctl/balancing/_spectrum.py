"""Eigenvalues of unit gradients' Gramian, with those of gradients that depend on others left out."""

from __future__ import annotations

import numpy as np

from mtctl.balancing._unit import UnitGradients
from mtctl.balancing.contract import Array

# An eigenvalue below this belongs to gradients that depend on each other. Rounding blurs it by about 1e-15; a
# Gramian formed in float32 is blurred by more, and its negative eigenvalues tell by how much.
DEPENDENT = 1e-12
BLUR = 10.0
# Products this much smaller than their terms are 0.
ROUNDING = 1e-12
# Pivots and eigenvalues above this part of the largest leave no doubt that gradients are independent, and
# cost equations three digits at most.
INDEPENDENT = 1e-3


def spectrum(cosines: Array) -> tuple[Array, Array]:
    """Return eigenvalues [..., T], ascending, and eigenvectors [..., T, T] (columns) of Ĝ [..., T, T].

    Eigenvalues that mean no more than dependence between gradients, or a gradient of 0, are exactly 0.
    """
    values, vectors = np.linalg.eigh(cosines)
    floor = np.maximum(DEPENDENT * values[..., -1:], -BLUR * values[..., :1])
    return np.where(values > floor, values, 0.0), vectors


def equiangular(unit: UnitGradients) -> Array:
    """Return v [..., T] = Ĝ⁺·1: Σ vᵢ·ĝᵢ has equal products with all gradients, 1, or the nearest to that.

    It is 0 where no vector is nearer than 0, as with gradients that add up to 0.
    """
    if _independent(unit.cosines):
        ones = np.ones((*unit.lengths.shape, 1))
        return np.asarray(np.linalg.solve(unit.cosines, ones)[..., 0])
    if unit.lengths.ndim > 1:  # each run of a stack by itself: whether others are regular must not matter
        return np.stack([equiangular(UnitGradients(*run)) for run in zip(*unit, strict=True)])
    values, vectors = spectrum(unit.cosines)
    wanted = (unit.moving[..., None, :] @ vectors)[..., 0, :]
    known = (values > 0) & (np.abs(wanted) > ROUNDING)
    coordinates = np.where(known, wanted / np.where(known, values, 1.0), 0.0)
    # Rounding may leave the place of a gradient that is 0 a little beside 0.
    return np.asarray((vectors @ coordinates[..., None])[..., 0] * unit.moving)


def _independent(cosines: Array) -> bool:
    """Say whether Ĝ is regular beyond doubt, by the squares of its Cholesky factor's diagonal."""
    try:
        factor = np.linalg.cholesky(cosines)
    except np.linalg.LinAlgError:
        return False
    return bool(np.minimum.reduce(np.diagonal(factor, axis1=-2, axis2=-1), axis=None) ** 2 > INDEPENDENT)
