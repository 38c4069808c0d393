"""CAGrad: the best improvement of the worst task near the mean gradient, solved exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing.contract import Array, Balancer, ConvergenceError, Signals, State

# A unit gradient this close (squared distance) to the span of others depends on them. Rounding of a float64 Gramian
# blurs squared distances by about 1e-15; a factor of 1000 is kept between the two.
DEPENDENT = 1e-12
# Largest KKT residual (see `kkt_residual`) that counts as solved. Float64 Gramians reach 1e-9 or better; Gramians
# of float32 gradients that were rounded once more still pass.
TOLERANCE = 1e-5
# A slope this small, relative to the numbers it comes from, is 0.
ROUNDING = 1e-12
# The path has about as many kinks as tasks; many times more means that it cycles.
KINKS_PER_TASK = 50


@dataclass(frozen=True)
class _Problem:
    """CAGrad's minimisation in unit gradients ĝᵢ = gᵢ/‖gᵢ‖, all lengths relative to the longest gradient.

    Args:
        unit: [T, T] ⟨ĝᵢ, ĝⱼ⟩.
        lengths: [T] ‖gᵢ‖, the longest 1.
        pull: [T] ⟨ĝᵢ, g₀⟩.
        radius: κ = c·‖g₀‖.
        size: ‖g₀‖ + κ, the unit of residuals.
    """

    unit: Array
    lengths: Array
    pull: Array
    radius: float
    size: float


def conflict_averse(gramian: Array, c: float) -> Array:
    """Return w [T] with d = Jᵀw = g₀ + κ·g_v/‖g_v‖, κ = c·‖g₀‖, g₀ the mean gradient.

        v = argmin_{v ∈ Δ} g_v·g₀ + κ·‖g_v‖,   hence   wᵢ = 1/T + κ·vᵢ/‖g_v‖

    d is the step within κ of g₀ whose worst ⟨gᵢ, d⟩ is largest. Where g_v = 0 (no step improves all tasks), many
    steps share the best worst case, 0; this is the one nearest to g₀.

    Args:
        gramian: [T, T] G. Tasks whose gradient is 0 count in the mean and are left out of the minimisation, where
            they would forbid any improvement.
        c: radius around g₀ in units of ‖g₀‖.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.
    """
    tasks = len(gramian)
    weights = np.full(tasks, 1 / tasks)
    moving = gramian.diagonal() > np.finfo(np.float64).tiny
    problem = _scale(gramian if moving.all() else gramian[moving][:, moving], tasks, c)
    if problem.radius == 0:
        return weights
    v = _follow(problem)
    residual = _residual(problem, v)
    if not residual <= TOLERANCE:
        raise ConvergenceError("CAGrad", residual, TOLERANCE, float(np.linalg.cond(problem.unit)))
    weights[moving] += v / problem.lengths
    return weights


def kkt_residual(gramian: Array, weights: Array, c: float) -> float:
    """Return by how much `conflict_averse`'s weights miss their optimality conditions, in units of ‖g₀‖ + κ.

    With v = w − 1/T and λ the worst improvement: vᵢ ≥ 0, ⟨ĝᵢ, d⟩ ≥ λ/‖gᵢ‖, one of the two tight for each task,
    and ‖d − g₀‖ = κ unless λ = 0.
    """
    moving = gramian.diagonal() > np.finfo(np.float64).tiny
    problem = _scale(gramian[moving][:, moving], len(gramian), c)
    return (
        _residual(problem, (weights[moving] - 1 / len(gramian)) * problem.lengths) if problem.radius else 0.0
    )


def _scale(gramian: Array, tasks: int, c: float) -> _Problem:
    norms = np.sqrt(gramian.diagonal())
    lengths = norms / norms.max(initial=0.0)
    unit = gramian / norms / norms[:, None]
    pull = unit @ lengths / tasks
    mean_norm = math.sqrt(max(lengths @ pull / tasks, 0.0))
    return _Problem(unit, lengths, pull, c * mean_norm, (1 + c) * mean_norm)


def _residual(problem: _Problem, v: Array) -> float:
    product = problem.unit @ v
    improvement = problem.pull + product
    bounds = 1 / problem.lengths
    total = v @ bounds
    level = v @ improvement / total if total > 0 else (improvement / bounds).min()
    complementarity = np.abs(np.minimum(v, improvement - level * bounds)).max()
    reach = abs(math.sqrt(max(v @ product, 0.0)) - problem.radius)
    return float(max(complementarity, min(reach, abs(level))) / problem.size)


def _follow(problem: _Problem) -> Array:
    """Return v ≥ 0 [T] with ‖Σ vᵢ·ĝᵢ‖ = κ that solves the minimisation, up to its length.

    For a worst improvement λ the cheapest way there, min ‖Σ vᵢ·ĝᵢ‖ subject to ⟨ĝᵢ, g₀ + Σ vⱼ·ĝⱼ⟩ ≥ λ/‖gᵢ‖, is
    piecewise linear in λ: on its support S, dv/dλ = G_SS⁻¹·(1/‖g‖)_S. The path starts at g₀ (v = 0) and is followed
    from kink to kink until its length is κ, a quadratic equation. Exact in finitely many steps.
    """
    unit, bounds = problem.unit, 1 / problem.lengths
    v = np.zeros_like(bounds)
    level = (problem.pull / bounds).min()
    support = [int((problem.pull / bounds).argmin())]
    for _ in range(KINKS_PER_TASK * len(bounds)):
        slope = np.zeros_like(bounds)
        slope[support] = np.linalg.solve(unit[support][:, support], bounds[support])
        climb = unit @ slope - bounds
        climb[support] = 0.0
        product = unit @ v
        slack = problem.pull + product - level * bounds
        leaving, leaver = _first(v, slope, 0.0)
        entering, enterer = _first(slack, climb, ROUNDING * (bounds + np.abs(slope).max()))
        end = _until_length(problem.radius**2 - v @ product, v @ bounds, slope @ bounds)
        step = min(leaving, entering, end)
        v += step * slope
        level += step
        if step == end:
            break
        if step == leaving:
            v[leaver] = 0.0
            support.remove(leaver)
        elif not _admit(unit, v, support, enterer):
            break
    return v


def _first(values: Array, slopes: Array, rounding: Array | float) -> tuple[float, int]:
    """Return after which step, and where, the first of `values` ≥ 0 falls to 0; (inf, 0) if none falls."""
    falling = slopes < -rounding
    steps = np.divide(values.clip(min=0.0), -slopes, out=np.full_like(values, np.inf), where=falling)
    place = int(steps.argmin())
    return float(steps[place]), place


def _until_length(missing: float, linear: float, quadratic: float) -> float:
    """Return the root x ≥ 0 of quadratic·x² + 2·linear·x = missing, all ≥ 0, without cancellation."""
    missing = max(missing, 0.0)
    return missing / (linear + math.sqrt(linear * linear + quadratic * missing)) if missing else 0.0


def _admit(unit: Array, v: Array, support: list[int], task: int) -> bool:
    """Add a task to the support, in place; False if a convex combination of it and the support is 0.

    A task that depends on the support, ĝ = Σ hⱼ·ĝⱼ, takes the place of the one whose share it uses up first: moving
    along (1, −h) changes no sum of gradients.
    """
    shares = np.linalg.solve(unit[support][:, support], unit[support, task])
    if 1 - shares @ unit[support, task] > DEPENDENT:
        support.append(task)
        return True
    used, place = _first(v[support], -shares, math.sqrt(DEPENDENT))
    if used == np.inf:
        return False
    v[support] -= used * shares
    v[task] = used
    v[support[place]] = 0.0
    support[place] = task
    return True


@dataclass(frozen=True)
class CAGrad(Balancer):
    """The update within c·‖g₀‖ of the mean gradient g₀ that improves the worst task most.

        d = g₀ + c·‖g₀‖ · g_v/‖g_v‖,   v = argmin_{v ∈ Δ} g_v·g₀ + c·‖g₀‖·‖g_v‖

    Args:
        c: radius of the search in units of ‖g₀‖; 0.5. At 0, d is the mean gradient.
        rescale: divide by 1 + c², as some libraries do by default; off, as in the paper's equation.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.

    Source: Liu et al., Conflict-Averse Gradient Descent for Multi-task Learning, 2021 (arXiv 2110.14048).
    """

    c: float = 0.5
    rescale: bool = False

    needs = frozenset({"gramian"})
    scope = "shared"

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        tasks = signals.active.shape[-1]
        weights = np.zeros(signals.active.shape)
        rows = zip(
            weights.reshape(-1, tasks),
            signals.gramian.reshape(-1, tasks, tasks),
            signals.active.reshape(-1, tasks),
            strict=True,
        )
        for row, gramian, active in rows:
            if active.all():
                row[:] = conflict_averse(gramian, self.c)
            elif active.any():
                row[active] = conflict_averse(gramian[active][:, active], self.c)
        return (weights / (1 + self.c**2) if self.rescale else weights), state
