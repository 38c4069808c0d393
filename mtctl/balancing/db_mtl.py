"""DB-MTL: losses balanced by their logarithm, gradients by the longest."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing import _average
from mtctl.balancing._average import Momentum
from mtctl.balancing._positive import NEGLIGIBLE
from mtctl.balancing.contract import AdaptiveMethod, Array, Method, Random, Signals, Space, State
from mtctl.balancing.log_loss import LogLoss

# What the authors' code adds to a loss before its logarithm.
_EPSILON = 1e-8


class DBMTL(AdaptiveMethod):
    """Dual balancing: logarithms of the losses, and gradients as long as the longest (Lin et al., 2023).

    Two methods in a row: losses are evened out by their logarithm, then gradients by the longest.

        d = Σᵢ (maxⱼ mⱼ / mᵢ)·∇ log(Lᵢ + ε),   mᵢ = EMA of ‖∇ log(Lᵢ + ε)‖

    The logarithm weighs whole losses, a task's own parameters included; the lengths are evened out on the
    shared ones. The paper averages the gradients, P numbers for each task; here their lengths are averaged,
    so that d stays a combination of this step's gradients. With momentum 0 the two are the same.

    Helps: where losses are positive and on different scales: no setting needs tuning, and no task is turned
    down.

    Fails: where a task is nearly solved: its noise is brought to the length of the longest gradient.
    Conflicts are not seen.

    Source: Lin et al., Dual-Balancing for Multi-Task Learning, 2023 (arXiv 2308.12029).
    """

    kind: Literal["db_mtl"] = "db_mtl"
    momentum: Momentum = 0.9
    """Momentum of the average of each task's gradient norm; 0: this step's alone."""
    layer: Space = "all_shared"
    """Where gradient norms are taken; all shared parameters as in the paper."""

    needs = frozenset({"norms"})

    def in_a_row(self) -> tuple[Method, ...]:
        return (
            LogLoss(epsilon=_EPSILON, every=self.every),
            LongestNorm(momentum=self.momentum, layer=self.layer, every=self.every),
        )

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        raise NotImplementedError(
            "db_mtl is a chain of two methods, whose weights act on different parameters"
        )


class LongestNorm(AdaptiveMethod):
    """Each task's gradient, rescaled to the length of the longest: the second half of DB-MTL.

        wᵢ = maxⱼ mⱼ / mᵢ,   mᵢ = EMA of ‖gᵢ‖

    No weight is below 1. The maximum is over the active tasks. The average starts without bias; a task whose
    gradient has always been 0 gets weight 0.
    """

    kind: Literal["longest_norm"] = "longest_norm"
    momentum: Momentum = 0.9
    """Of the average."""
    layer: Space = "all_shared"
    """Where gradient norms are taken."""

    needs = frozenset({"norms"})
    scope = "shared"
    averages_gradients = True

    def init(self, tasks: tuple[str, ...]) -> State:
        return _average.init(len(tasks))

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        norms, state = _average.updated(signals.norms, state, self.momentum, signals.active)
        shown = signals.active & (norms > NEGLIGIBLE)
        longest = np.where(shown, norms, 0.0).max(-1, keepdims=True)
        return longest / np.where(shown, norms, 1.0) * shown, state
