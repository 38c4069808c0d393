"""CAGrad: the best improvement of the worst task near the mean gradient, solved exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from mtctl.balancing import _active_set
from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing.contract import Array, ConvergenceError, Mask, Random, Signals, State
from mtctl.balancing.mgda import shortest
from mtctl.part import NonNegativeFloat

# A unit gradient whose squared distance from the span of others is below this depends on them. Rounding
# blurs it by about 1e-15, or by 1e-7 and more where the Gramian was formed in float32, which is tried next.
DEPENDENT = (1e-12, 1e-6, 1e-4)
# Added to the unit diagonal where that does not solve it: the path of a Gramian that rounding has made
# indefinite can cycle, and its neighbour's does not. What comes out has to solve the problem as given.
RIDGES = (0.0, 1e-7, 1e-6, 1e-5)
# A KKT residual (see `kkt_residual`) up to here leaves nothing to gain; above it, the next of these is tried
# and the best answer kept: on gradients that nearly depend on each other, too strict an idea of dependence
# ends at weights of 1e7 and loses half of the digits.
SOLVED = 1e-10
# Largest residual of the best answer. A Gramian formed in float32 may cost this much, others 1e-9.
TOLERANCE = 1e-4
# A slope this small, relative to the numbers it was computed from, is 0.
ROUNDING = 1e-12
# The path has about as many kinks as tasks; many times more means that it cycles.
KINKS_PER_TASK = 50


class _Problem(NamedTuple):
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

    d is the step within κ of g₀ whose worst ⟨gᵢ, d⟩ is largest. Where g_v = 0 (no step improves every task),
    many steps share the best worst case, which is 0; this returns the one nearest to g₀.

    Args:
        gramian: [T, T] G. Tasks whose gradient is 0 count in the mean and are left out of the minimisation,
            where they would forbid any improvement.
        c: radius around g₀ in units of ‖g₀‖.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.
    """
    weights = np.full(len(gramian), 1 / len(gramian))
    moving = gramian.diagonal() > np.finfo(np.float64).tiny
    problem = _scale(gramian, moving, c)
    if problem.radius == 0:
        return weights
    best, least = problem.pull, math.inf
    for ridge in RIDGES:
        for v in _answers(problem, ridge):
            residual = _residual(problem, v)
            if residual < least:
                best, least = v, residual
            if least <= SOLVED:
                break
        if least <= TOLERANCE:
            break
    if least > TOLERANCE:
        raise ConvergenceError("CAGrad", least, TOLERANCE, float(np.linalg.cond(problem.unit)))
    weights[moving] += best / problem.lengths
    return weights


def kkt_residual(gramian: Array, weights: Array, c: float) -> float:
    """Return by how much weights [T] miss the optimality conditions of `conflict_averse`, in ‖g₀‖ + κ.

    With v = w − 1/T and λ the worst improvement: vᵢ ≥ 0 and ⟨ĝᵢ, d⟩ ≥ λ/‖gᵢ‖, one of the two tight for each
    task, and ‖d − g₀‖ = κ unless λ = 0.
    """
    moving = gramian.diagonal() > np.finfo(np.float64).tiny
    problem = _scale(gramian, moving, c)
    if problem.radius == 0:
        return float(np.abs(weights - 1 / len(gramian)).max())
    return _residual(problem, (weights[moving] - 1 / len(gramian)) * problem.lengths)


def _scale(gramian: Array, moving: Mask, c: float) -> _Problem:
    tasks = len(gramian)
    if not moving.all():
        gramian = gramian[moving][:, moving]
    norms = np.sqrt(gramian.diagonal())
    lengths = norms / norms.max(initial=0.0)
    unit = gramian / norms / norms[:, None]
    pull = unit @ lengths / tasks
    mean_norm = math.sqrt(max(float(lengths @ pull) / tasks, 0.0))
    return _Problem(unit, lengths, pull, c * mean_norm, (1 + c) * mean_norm)


def _answers(problem: _Problem, ridge: float) -> Iterator[Array]:
    """Yield v [T] by one way after another, the quickest first; NaN where a way leads nowhere."""
    firmer = _firmer(problem, ridge)
    yield from (_follow(firmer, dependent) for dependent in DEPENDENT)
    if ridge == 0:
        yield _harmless(problem)


def _harmless(problem: _Problem) -> Array:
    """Return v ≥ 0 [T] of the step that harms no task and is nearest to g₀; NaN where a step improves all.

    That is the solution where λ = 0, which means that a convex combination of gradients is 0. The path gets
    there on gradients that nearly depend on each other; this finds better ones.
    """
    start = np.maximum(-problem.pull, 0.0)
    try:
        balanced = shortest(problem.unit)
        if float(balanced @ problem.unit @ balanced) <= DEPENDENT[0]:
            return _active_set.minimise(problem.unit, -problem.pull, start, "CAGrad")
    except ConvergenceError:
        pass  # the other answers are left
    return np.full(len(start), np.nan)


def _firmer(problem: _Problem, ridge: float) -> _Problem:
    """Return the problem of gradients that are each turned a little into a direction of their own."""
    if ridge == 0:
        return problem
    return problem._replace(unit=(problem.unit + ridge * np.eye(len(problem.unit))) / (1 + ridge))


def _residual(problem: _Problem, v: Array) -> float:
    moved, bounds = problem.unit @ v, 1 / problem.lengths
    improvement = problem.pull + moved
    total = float(v @ bounds)
    level = float(v @ improvement) / total if total > 0 else float((improvement / bounds).min())
    complementarity = float(np.abs(np.minimum(v, improvement - level * bounds)).max())
    reach = abs(math.sqrt(max(float(v @ moved), 0.0)) - problem.radius)
    return max(complementarity, min(reach, abs(level))) / problem.size


def _follow(problem: _Problem, dependent: float) -> Array:
    """Return v ≥ 0 [T], d = g₀ + Σ vᵢ·ĝᵢ, the solution of the minimisation; NaN if the path does not end.

    For a worst improvement λ the nearest step, min ‖Σ vᵢ·ĝᵢ‖ subject to ⟨ĝᵢ, g₀ + Σ vⱼ·ĝⱼ⟩ ≥ λ/‖gᵢ‖, is
    piecewise linear in λ: on its support S, v = λ·p − q with p = unit_SS⁻¹·(1/‖g‖)_S, q = unit_SS⁻¹·pull_S.
    The path starts at g₀ (v = 0) and is followed from kink to kink, where a task enters or leaves S, until
    its length is κ.
    """
    unit, bounds, tasks = problem.unit, 1 / problem.lengths, len(problem.unit)
    # Solving for all columns at once gives p, q and the projection h of whichever task enters.
    columns = np.concatenate((unit, bounds[:, None], problem.pull[:, None]), axis=1)
    floors = problem.pull * problem.lengths
    level, support = float(floors.min()), [int(floors.argmin())]
    for _ in range(KINKS_PER_TASK * tasks):
        rows = columns[support]
        solved = _solve(rows[:, support], rows)
        if solved is None:
            break
        slopes, offsets = solved[:, -2], solved[:, -1]
        along, across = solved[:, -2:].T @ rows
        end = _larger_root(float(along[-2]), float(along[-1]), problem.radius**2 - float(across[-1]))
        leaving, leaver = _first_zero(-offsets, slopes, 0.0, level)
        climb = along[:tasks] - bounds
        climb[support] = 0.0
        blur = ROUNDING * float(np.abs(slopes).max())
        entering, enterer = _first_zero(problem.pull - across[:tasks], climb, blur, level)
        level = min(end, leaving, entering)
        v = np.zeros(tasks)
        v[support] = level * slopes - offsets
        if level == end:
            return v
        if level == leaving:
            support.pop(leaver)
        elif 1 - float(solved[:, enterer] @ rows[:, enterer]) > dependent:
            support.append(enterer)
        else:
            # ĝ = Σ hⱼ·ĝⱼ: moving v along (1, −h) changes no step, until some vⱼ is used up and makes room.
            used, place = _first_zero(v[support], -solved[:, enterer], math.sqrt(dependent), 0.0)
            # Without any hⱼ > 0 a convex combination of gradients is 0, and λ = 0 is the best there is.
            if used == math.inf:
                return v
            support[place] = enterer
    return np.full(tasks, np.nan)


def _solve(system: Array, columns: Array) -> Array | None:
    """Return system⁻¹·columns; None if the system is singular. A single unit gradient's system is 1."""
    try:
        return (
            columns if len(system) == 1 else np.linalg.solve(system, columns).astype(np.float64, copy=False)
        )
    except np.linalg.LinAlgError:
        return None


def _larger_root(quadratic: float, linear: float, constant: float) -> float:
    """Return the larger x with quadratic·x² − 2·linear·x = constant, quadratic > 0, without cancellation."""
    root = math.sqrt(max(linear * linear + quadratic * constant, 0.0))
    return (linear + root) / quadratic if linear >= 0 else constant / (root - linear)


def _first_zero(offsets: Array, slopes: Array, rounding: float, start: float) -> tuple[float, int]:
    """Return at which x ≥ start, and where, the first of offsets + x·slopes falls to 0, or (inf, 0).

    Slopes within `rounding` of 0 count as 0. Python's floats: on a handful of numbers they beat array calls.
    """
    first, place = math.inf, 0
    for i, (offset, slope) in enumerate(zip(offsets.tolist(), slopes.tolist(), strict=True)):
        if slope < -rounding and max(start, offset / -slope) < first:
            first, place = max(start, offset / -slope), i
    return first, place


class CAGrad(GradientMethod):
    """Conflict-averse gradient: the best worst-task improvement near the mean gradient (Liu et al., 2021).

    d is the update within c·‖g₀‖ of the mean gradient g₀ that improves the worst task most.

        d = g₀ + c·‖g₀‖ · g_v/‖g_v‖,   v = argmin_{v ∈ Δ} g_v·g₀ + c·‖g₀‖·‖g_v‖

    Helps: where tasks of one scale conflict and the mean must not suffer: `c` says how far to move from it.

    Fails: where scales differ or a task has nearly converged: the shortest gradient is the worst off, and
    takes all the room that c leaves, whether its task needs it or not.

    Raises:
        ConvergenceError: the solution does not satisfy its optimality conditions.

    Source: Liu et al., Conflict-Averse Gradient Descent, 2021 (arXiv 2110.14048).
    """

    kind: Literal["cagrad"] = "cagrad"
    c: NonNegativeFloat = 0.5
    """Radius of the search around the mean gradient g₀, in units of ‖g₀‖; 0 is the mean itself."""
    rescale: bool = False
    """Divide by 1 + c² (LibMTL's default form); off: the paper's equation."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        tasks = signals.active.shape[-1]
        weights = np.zeros(signals.active.shape)
        rows = zip(
            weights.reshape(-1, tasks),
            signals.gramian.reshape(-1, tasks, tasks),
            signals.active.reshape(-1, tasks),
            strict=True,
        )
        for row, gramian, active in rows:
            if active.any():
                row[active] = conflict_averse(gramian[active][:, active], self.c)
        return (weights / (1 + self.c**2) if self.rescale else weights), state
