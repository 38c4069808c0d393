"""GradVac: gradient surgery towards the angles that tasks usually have."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._unit import UnitGradients, unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State
from mtctl.part import Fraction

# Targets end here: at cosine 1 no finite correction reaches them. A correction is then no longer than 700
# times the gradient, where a task has been a copy of another for a long time and suddenly is not.
HIGHEST_TARGET = 1 - 1e-6
# A vector this much shorter than the terms that it was summed from is 0.
ROUNDING = 1e-6


def vaccinate(
    unit: UnitGradients, targets: Array, beta: float, order: NDArray[np.intp]
) -> tuple[Array, Array]:
    """Return coefficients C [..., T, T] of unit gradients and the next targets φ̂ [..., T, T].

        for each i, g = ĝᵢ; for j ≠ i in order, φ = cos(g, gⱼ):
            if φ < φ̂ᵢⱼ:   g ← g + ‖g‖·(φ̂ᵢⱼ·√(1 − φ²) − φ·√(1 − φ̂ᵢⱼ²)) / √(1 − φ̂ᵢⱼ²) · ĝⱼ
            φ̂ᵢⱼ ← (1 − β)·φ̂ᵢⱼ + β·φ

    Row i of C is what ĝᵢ becomes. A pair with a gradient of 0 neither moves nor learns.

    Args:
        unit: the gradients.
        targets: [..., T, T] φ̂.
        beta: β.
        order: [..., T, T]; row i is the order, a permutation of all tasks, in which i meets the others.
    """
    shape, tasks = unit.cosines.shape, unit.cosines.shape[-1]
    # The rows of C do not see each other: all rows of all batches take their k-th correction at once.
    cosines, order = unit.cosines.reshape(-1, tasks, tasks), order.reshape(-1, tasks)
    moving, targets = unit.moving.reshape(-1, tasks), targets.reshape(-1, tasks).copy()
    row = np.arange(len(order))
    batch, own = row // tasks, row % tasks
    coefficients = np.tile(np.eye(tasks), (len(cosines), 1))
    products = cosines.reshape(-1, tasks).copy()  # C·Ĝ, kept up to date instead of being multiplied out
    for j in order.T:
        square = np.add.reduce(coefficients * products, axis=-1)
        size = np.add.reduce(np.abs(coefficients), axis=-1)
        meets = (j != own) & moving[batch, own] & moving[batch, j] & (square > (ROUNDING * size) ** 2)
        length = np.sqrt(np.where(meets, square, 1.0))
        cosine = np.clip(products[row, j] / length, -1.0, 1.0)
        target = np.clip(targets[row, j], -HIGHEST_TARGET, HIGHEST_TARGET)
        slope = target / np.sqrt(1 - target * target)
        step = length * (slope * np.sqrt(1 - cosine * cosine) - cosine) * (meets & (cosine < target))
        coefficients[row, j] += step
        products += step[:, None] * cosines[batch, j]
        targets[row, j] += beta * (cosine - targets[row, j]) * meets
    return coefficients.reshape(shape), targets.reshape(shape)


class GradVac(GradientMethod):
    """Gradient surgery towards the angles that tasks usually have (Wang et al., 2021).

    Each task's gradient is moved towards every gradient with which its angle is wider than it usually is.

        wⱼ = Σᵢ ‖gᵢ‖·Cᵢⱼ/‖gⱼ‖,  C as in `vaccinate`, each task meeting the others in an order drawn anew

    The usual cosine φ̂ is a moving average, from 0 on: the first step is PCGrad's sum. PCGrad acts on
    conflicts alone; this also acts on tasks that agree, but less than they use to, and lets tasks that have
    always conflicted go on. Like PCGrad it promises nothing for T ≥ 3.

    Between tasks that nearly always agree (φ̂ near 1) a single step that does not is corrected with a multiple
    of the other's gradient, φ̂/√(1 − φ̂²) times its length and more.

    Helps: with many related tasks, such as languages.

    Fails: with T ≥ 3 it promises nothing, as PCGrad; between tasks that nearly always agree, one step that
    does not is corrected with a multiple of the other's gradient.

    Costs T backward passes through the shared parameters, T rounds of vector algebra on T×T numbers, and a
    state of T×T numbers.

    Source: Wang et al., Gradient Vaccine, 2021 (arXiv 2010.05874).
    """

    kind: Literal["gradvac"] = "gradvac"
    beta: Fraction = 0.01
    """β, what the moving average of the cosines takes from each step; the paper's value (libraries: 0.5)."""

    averages_gradients = True

    def init(self, tasks: tuple[str, ...]) -> State:
        return {"target_cosines": np.zeros(len(tasks) ** 2)}

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        order = rng.permutations(signals.gramian.shape)
        unit = unit_gradients(signals.gramian)
        pairs = signals.gramian.shape
        before = np.broadcast_to(state["target_cosines"], (*pairs[:-2], pairs[-1] ** 2)).reshape(pairs)
        coefficients, targets = vaccinate(unit, before, self.beta, order)
        lengths = unit.lengths / unit.lengths.max(-1, keepdims=True)
        weights = (lengths[..., None, :] @ coefficients)[..., 0, :] / lengths * signals.active
        return weights, {"target_cosines": targets.reshape(*pairs[:-2], pairs[-1] ** 2)}
