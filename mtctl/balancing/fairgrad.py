"""FairGrad: α-fair shares of the update."""

from __future__ import annotations

from typing import Literal

from mtctl.balancing import _newton
from mtctl.balancing._on_gramian import GradientMethod
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, Random, Signals, State
from mtctl.part import PositiveFloat


def kkt_residual(gramian: Array, weights: Array, alpha: float) -> Array:
    """Return [...] max |wᵢ^(1/α)·(Gw)ᵢ − 1| for weights [..., T], over tasks whose gradient is not 0.

    Where (Gw)ᵢ is a difference of terms more than 1e7 times larger, it is compared with these instead.
    """
    return _newton.residual(unit_gradients(gramian), weights, 1 / alpha)


class FairGrad(GradientMethod):
    """The update that is α-fair to the tasks' improvements (Ban & Ji, 2024).

        Gw = w^(−1/α),   hence   wᵢ = ⟨gᵢ, d⟩^(−α);   d maximises  Σ ⟨gᵢ, d⟩^(1−α)/(1 − α)  at its length

    α = 1 is Nash's bargain (Nash-MTL): lengths of gradients do not matter. Below 1 long gradients lead, up to
    the plain sum at 0; above 1 the task that improves least counts more and more, up to the best worst case.
    ‖d‖ is proportional to the gradients' scale to the power of (1 − α)/(1 + α): at α > 1 steps get LONGER as
    gradients vanish.

    Where no step improves every task there is no solution; weights of tasks in full conflict then grow to
    1e4 and more times their usual size and cancel each other.

    Helps: where Nash-MTL does and a task still stays behind (α = 2), or noisy short gradients get too much
    attention (α = 0.5).

    Fails: as Nash-MTL does; at α > 1 steps get longer as gradients vanish.

    Costs T backward passes through the shared parameters and half a dozen T×T systems, more where α is far
    from 1 and lengths differ a lot.

    Raises:
        ConvergenceError: the solution does not satisfy the equation.

    Source: Ban & Ji, Fair Resource Allocation in Multi-Task Learning, 2024 (arXiv 2402.15638).
    """

    kind: Literal["fairgrad"] = "fairgrad"
    alpha: PositiveFloat = 1.0
    """α: 1 is Nash-MTL; towards 0 the plain sum, towards infinity the best worst case. Beyond 10 or below 0.1
    the equation may not be solvable in double precision."""

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        return _newton.fair_weights(unit_gradients(signals.gramian), 1 / self.alpha, "FairGrad"), state
