"""The equation of fair allocation, Gw = w^(−ρ), by a damped Newton's method, many problems at once."""

from __future__ import annotations

import numpy as np

from mtctl.balancing._unit import UnitGradients, condition
from mtctl.balancing.contract import Array, ConvergenceError

# Added to the unit diagonal, as if every gradient had a part of its own with this share of its squared
# length. It keeps the weights finite where the equation has no solution because no step improves every task.
# The first moves other solutions by 1e-9 or less; the second, tried next, is above what rounding does to a
# Gramian that was formed in float32.
OWN_PARTS = (1e-11, 1e-6)
# Largest residual (see `residual`) that counts as solved. Degenerate problems reach 1e-5, others 1e-14.
TOLERANCE = 1e-4
# Where a product is this much smaller than the terms it is summed from, it is compared with those.
CANCELLED = 1e-7
# Below this a residual is rounding.
ROUNDING = 1e-14
# A dozen steps are usual; degenerate problems take some more to grow weights of 1e6.
STEPS = 200
# A weight never loses more than this part of itself in one step, and a step is halved at most this often.
LOSS, HALVINGS = 0.9, 40


def fair_weights(unit: UnitGradients, power: float, method: str) -> Array:
    """Return w > 0 [..., T] with Gw = w^(−ρ), the minimum of ½·wᵀGw − Σ ∫w^(−ρ); 0 where the gradient is 0.

    With wᵢ = yᵢ·‖gᵢ‖^(−2/(ρ+1)), the weight of gᵢ if it were alone times yᵢ, and sᵢ = ‖gᵢ‖^((ρ−1)/(ρ+1)),
    this is Ĝ(s∘y) = s∘y^(−ρ): no number in it grows with the lengths' spread as fast as the lengths do.

    Args:
        unit: the gradients.
        power: ρ > 0.
        method: whose equation it is.

    Raises:
        ConvergenceError: the solution does not satisfy the equation.
    """
    shape, tasks = unit.lengths.shape, unit.lengths.shape[-1]
    matrices, scales = _balanced(unit, power)
    matrices, scales = matrices.reshape(-1, tasks, tasks), scales.reshape(-1, tasks)
    y, residuals, todo = np.ones(scales.shape), np.zeros(len(scales)), np.arange(len(scales))
    for own in OWN_PARTS:
        blurred = matrices[todo] + own * np.eye(tasks)
        y[todo] = _newton(blurred, scales[todo], power)
        residuals[todo] = _misses(blurred, scales[todo], y[todo], power)
        todo = todo[~(residuals[todo] <= TOLERANCE)]
        if not len(todo):
            return y.reshape(shape) * unit.lengths ** (-2 / (power + 1)) * unit.moving
    worst = todo[0]
    raise ConvergenceError(method, float(residuals[worst]), TOLERANCE, condition(matrices[worst]))


def residual(unit: UnitGradients, weights: Array, power: float) -> Array:
    """Return [...] max |(Gw)ᵢ − wᵢ^(−ρ)| over the tasks whose gradient is not 0, in units of wᵢ^(−ρ).

    Args:
        unit: the gradients.
        weights: [..., T] w.
        power: ρ.
    """
    matrices, scales = _balanced(unit, power)
    y = np.where(unit.moving, weights * unit.lengths ** (2 / (power + 1)), 1.0)
    return _misses(matrices, scales, y, power)


def _balanced(unit: UnitGradients, power: float) -> tuple[Array, Array]:
    """Return Ĝ [..., T, T] and s [..., T]; a gradient of 0 gets y = y^(−ρ), an equation of its own."""
    alone = np.where(unit.moving, 0.0, 1.0)[..., None] * np.eye(unit.moving.shape[-1])
    relative = unit.lengths / unit.lengths.max(-1, keepdims=True)
    return unit.cosines + alone, relative ** ((power - 1) / (power + 1))


def _misses(matrices: Array, scales: Array, y: Array, power: float) -> Array:
    """Return [...] max |(Ĝ(s∘y))ᵢ − sᵢ·yᵢ^(−ρ)| in units of sᵢ·yᵢ^(−ρ), the residual in these variables."""
    targets = scales * y**-power
    units = np.maximum(targets, CANCELLED * _times(np.abs(matrices), scales * y))
    return np.asarray((np.abs(_times(matrices, scales * y) - targets) / units).max(-1))


def _newton(matrices: Array, scales: Array, power: float) -> Array:
    """Return y [B, T]; far from the solution where there is none to be found."""
    y, todo = np.ones(scales.shape), np.arange(len(scales))
    for _ in range(STEPS):
        m, s, before = matrices[todo], scales[todo], y[todo]
        step = _direction(m, s, before, power)
        share = _share(m, s, before, step, power)
        after = before + share[:, None] * step
        missed, misses = _misses(m, s, before, power), _misses(m, s, after, power)
        far = (missed > TOLERANCE) & (share > 0)
        y[todo] = np.where((far | (misses < missed))[:, None], after, before)
        # A step that does not halve a small residual: what is left is rounding.
        todo = todo[(misses > ROUNDING) & (far | (misses < 0.5 * missed))]
        if not len(todo):
            break
    return y


def _gradient(matrices: Array, scales: Array, y: Array, power: float) -> Array:
    return np.asarray(_times(matrices, scales * y) - scales * y**-power)


def _direction(matrices: Array, scales: Array, y: Array, power: float) -> Array:
    """Return Newton's step [B, T] of y; the system is that of a = s∘y, which is balanced."""
    systems = matrices.copy()
    diagonal = np.einsum("bii->bi", systems)
    diagonal += power * y ** (-power - 1)
    slopes = _gradient(matrices, scales, y, power)
    return np.asarray(-np.linalg.solve(systems, slopes[:, :, None])[:, :, 0] / scales)


def _share(matrices: Array, scales: Array, y: Array, step: Array, power: float) -> Array:
    """Return which part [B] of the step to take, so that y stays positive and the objective does not rise.

    0 where it rises at once, as it can only do where rounding has made the Gramian indefinite.
    """
    slope = (scales * step * _gradient(matrices, scales, y, power)).sum(-1)
    share = np.minimum(1.0, LOSS / np.maximum((-step / y).max(-1), LOSS)) * (slope < 0)
    for _ in range(HALVINGS):
        there = (scales * step * _gradient(matrices, scales, y + share[:, None] * step, power)).sum(-1)
        far = (there > -0.5 * slope) & (share > 0)
        if not far.any():
            break
        share = np.where(far, share / 2, share)
    return np.asarray(share)


def _times(matrices: Array, x: Array) -> Array:
    return np.asarray((matrices @ x[..., None])[..., 0])
