"""Quadratic minimisation over x ≥ 0 by the active-set method of Lawson and Hanson, many problems at once.

Before that, all variables that are on the wrong side of the solution change sides at once, a few times.
Mostly this ends at the solution in two or three rounds; it may go round in circles, which the method proper
cannot.

Sources: Lawson & Hanson, Solving Least Squares Problems, 1974, ch. 23, on normal equations. The exchanges:
Portugal, Júdice & Vicente, A comparison of block pivoting and interior-point algorithms, 1994.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mtctl.balancing._unit import condition
from mtctl.balancing.contract import Array, ConvergenceError, Mask

# Added to the unit diagonal, so that no system is singular. The first is below what rounding does to a
# Gramian anyway; the second, tried next, is above what rounding does to one that was formed in float32.
RIDGES = (1e-14, 1e-6)
# A slope this small, relative to the numbers it was computed from, is 0.
ROUNDING = 1e-12
# Largest KKT residual that counts as solved. Degenerate problems reach 1e-9, others 1e-14; a Gramian formed
# in float32 may cost a few digits more.
TOLERANCE = 1e-4
# Exchanges of all variables that are on the wrong side; regular problems take two or three.
ROUNDS = 4
# Largest KKT residual at which what they end at is taken for the solution; regular problems leave 1e-16.
FOUND = 1e-12
# A variable enters about once; many times more moves means that the method cycles.
MOVES_PER_TASK = 30


def minimise(matrices: Array, pulls: Array, start: Array, method: str) -> Array:
    """Return x [..., T] = argmin_{x ≥ 0} ½·xᵀHx − bᵀx, for each problem as if it were alone.

    Args:
        matrices: [..., T, T] H, positive semidefinite, diagonal about 1; a row of zeros keeps its x at 0.
        pulls: [..., T] b, in the range of H.
        start: [..., T] x ≥ 0 to descend from; the closer its support to that of the solution, the faster.
        method: whose minimisation it is.

    Raises:
        ConvergenceError: a solution does not satisfy its optimality conditions.
    """
    shape, tasks = pulls.shape, pulls.shape[-1]
    matrices, pulls = matrices.reshape(-1, tasks, tasks), pulls.reshape(-1, tasks)
    x, residuals, todo = start.reshape(-1, tasks).copy(), np.zeros(len(pulls)), np.arange(len(pulls))
    guessed = _exchange(matrices, pulls, x)
    found = residual(matrices, pulls, guessed) <= FOUND
    if np.logical_and.reduce(found):
        return guessed.reshape(shape)
    x[found], todo = guessed[found], todo[~found]
    for ridge in RIDGES:
        x[todo] = _descend(matrices[todo], pulls[todo], x[todo], ridge)
        residuals[todo] = residual(matrices[todo], pulls[todo], x[todo])
        todo = todo[~(residuals[todo] <= TOLERANCE)]
        if not len(todo):
            return x.reshape(shape)
    worst = todo[0]
    raise ConvergenceError(method, float(residuals[worst]), TOLERANCE, condition(matrices[worst]))


def residual(matrices: Array, pulls: Array, x: Array) -> Array:
    """Return [...] max |min(xᵢ, (Hx − b)ᵢ)|, relative to the largest of |x|, |b| and |H|·|x|.

    Args:
        matrices: [..., T, T] H.
        pulls: [..., T] b.
        x: [..., T].
    """
    slopes = _times(matrices, x) - pulls
    sizes = np.abs(x) + np.abs(pulls) + _times(np.abs(matrices), np.abs(x))
    largest = sizes.max(-1, initial=0.0)
    misses = np.abs(np.minimum(x, slopes)).max(-1, initial=0.0)
    return np.asarray(misses / np.where(largest > 0, largest, 1.0))


def _exchange(matrices: Array, pulls: Array, start: Array) -> Array:
    """Return x [B, T] after some rounds in which all variables on the wrong side change it at once."""
    x, support = start, start > 0
    least = FOUND * np.abs(pulls).max(-1, keepdims=True)
    for _ in range(ROUNDS):
        x = _unconstrained(matrices, pulls, support, RIDGES[0])
        slopes = pulls - _times(matrices, x)
        wrong = np.where(support, x < 0, slopes > least)
        if not np.logical_or.reduce(wrong, axis=None):
            break
        support ^= wrong
    return np.maximum(x, 0.0)


def _descend(matrices: Array, pulls: Array, start: Array, ridge: float) -> Array:
    """Return x [B, T]. Its support grows one by one and shrinks where x would turn negative."""
    x, support, barred = start.copy(), start > 0, np.zeros(pulls.shape, dtype=bool)
    todo, h, b = np.arange(len(pulls)), matrices, pulls
    for _ in range(MOVES_PER_TASK * pulls.shape[-1]):
        before, inside = x[todo], support[todo]
        now, leaving = _step(before, _unconstrained(h, b, inside, ridge), inside)
        inside &= ~leaving
        # What entered and would leave at once is a slope of 0 that rounding made positive.
        stuck = (now == before).all(-1, keepdims=True)
        shut = stuck & (barred[todo] | leaving)
        entering, found = _steepest(h, b, now, inside | shut)
        lowest = ~leaving.any(-1)
        inside[np.flatnonzero(lowest & found), entering[lowest & found]] = True
        x[todo], support[todo], barred[todo] = now, inside, shut
        going = ~lowest | found
        if not going.all():
            todo, h, b = todo[going], h[going], b[going]
        if not len(todo):
            break
    return x


def _step(before: Array, aim: Array, support: Mask) -> tuple[Array, Mask]:
    """Return the last x ≥ 0 on the way from `before` to `aim`, and which variables end there; all [B, T]."""
    blocked = support & (aim <= 0)
    gaps = np.where(blocked, before - aim, 1.0)
    shares = np.where(blocked, before / np.where(gaps > 0, gaps, 1.0), np.inf)
    share = shares.min(-1, keepdims=True)
    leaving = blocked & (shares == share)
    way = np.where(np.isinf(share), aim, before + np.minimum(share, 1.0) * (aim - before))
    return np.where(leaving, 0.0, np.maximum(way, 0.0)), leaving


def _steepest(matrices: Array, pulls: Array, x: Array, shut: Mask) -> tuple[NDArray[np.intp], Mask]:
    """Return the variables [B] whose growth lowers the objectives most, and whether there are any."""
    slopes = pulls - _times(matrices, x)
    sizes = np.abs(pulls) + _times(np.abs(matrices), x)
    gains = np.where(shut | (slopes <= ROUNDING * sizes), 0.0, slopes)
    return gains.argmax(-1), np.asarray(gains.any(-1))


def _unconstrained(matrices: Array, pulls: Array, support: Mask, ridge: float) -> Array:
    """Return the minimiser [B, T] of each problem over the variables in its support, the others 0."""
    systems = matrices * (support[:, :, None] & support[:, None, :])
    diagonal = np.einsum("bii->bi", systems)
    diagonal += np.where(support, ridge, 1.0)
    return np.asarray(np.linalg.solve(systems, (pulls * support)[:, :, None])[:, :, 0])


def _times(matrices: Array, x: Array) -> Array:
    return np.asarray((matrices @ x[..., None])[..., 0])
