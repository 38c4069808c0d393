"""ConFIG: the direction with equal angles to all gradients, as long as their projections on it together."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._spectrum import equiangular
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State


class ConFIG(GradientMethod):
    """The direction with equal angles to all gradients (Liu et al., 2025); weights may be negative.

    d is as long as the gradients' projections on it together.

        d = (Σ ⟨gᵢ, u⟩)·u,   u = unit(U⁺·1),  U the unit gradients;   with v = Ĝ⁺·1:
        wᵢ = λ·vᵢ/‖gᵢ‖,   λ = Σ ‖gᵢ‖·(Ĝv)ᵢ / vᵀĜv

    In terms of G, which spares the pseudo-inverse of a T×P matrix. Independent gradients all have the same
    positive product with u: no task gets worse. The direction does not depend on the losses' scales, the
    length is that of a sum, with which the longest gradient leads. Weights may be negative. Where gradients
    depend on each other, angles are as equal as they can be, and some may exceed 90°; d is 0 where the unit
    gradients add up to 0.

    Helps: with a few tasks in conflict whose losses are on different scales (physics-informed networks are
    where it comes from).

    Fails: with many tasks, or nearly opposite ones: equal angles then hardly improve any of them.

    Costs T backward passes through the shared parameters; closed form.

    Source: Liu, Chu & Thuerey, ConFIG, 2025 (arXiv 2408.11104).
    """

    kind: Literal["config"] = "config"

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        unit = unit_gradients(signals.gramian)
        v = equiangular(unit)
        products = (unit.cosines @ v[..., None])[..., 0]
        square = (v * products).sum(-1, keepdims=True)
        # Relative to the longest gradient, so that no product overflows.
        lengths = unit.lengths / unit.lengths.max(-1, keepdims=True)
        factor = (lengths * products).sum(-1, keepdims=True) / np.where(square > 0, square, 1.0)
        return factor * v / lengths, state
