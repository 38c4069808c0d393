"""DB-MTL: losses balanced by their logarithm, gradients by the longest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _average
from mtctl.balancing._positive import NEGLIGIBLE
from mtctl.balancing.contract import Array, Balancer, Signals, Space, State
from mtctl.balancing.log_loss import LogLoss

# What the authors' code adds to a loss before its logarithm.
_EPSILON = 1e-8


def db_mtl(momentum: float = 0.9, space: Space = "all_shared") -> tuple[Balancer, Balancer]:
    """DB-MTL: losses evened out by their logarithm, then gradients by the longest. Two methods in a row.

        d = Σᵢ (maxⱼ mⱼ / mᵢ)·∇ log(Lᵢ + ε),   mᵢ = EMA of ‖∇ log(Lᵢ + ε)‖

    The logarithm weighs whole losses, a task's own parameters included; the lengths are evened out on the
    shared ones. The paper averages the gradients, P numbers for each task; here their lengths are averaged,
    so that d stays a combination of this step's gradients. With momentum 0 the two are the same.

    Helps: where losses are positive and on different scales: no setting needs tuning, and no task is turned
    down.

    Fails: where a task is nearly solved: its noise is brought to the length of the longest gradient.
    Conflicts are not seen.

    Args:
        momentum: β of the average, 0 ≤ β < 1; 0.9 as in the authors' code.
        space: where gradients are measured; all shared parameters as in the paper.

    Source: Lin et al., Dual-Balancing for Multi-Task Learning, 2023 (arXiv 2308.12029).
    """
    return LogLoss(_EPSILON), LongestNorm(momentum, space)


@dataclass(frozen=True)
class LongestNorm(Balancer):
    """Each task's gradient, rescaled to the length of the longest.

        wᵢ = maxⱼ mⱼ / mᵢ,   mᵢ = EMA of ‖gᵢ‖

    No weight is below 1. The maximum is over the active tasks. The average starts without bias; a task whose
    gradient has always been 0 gets weight 0.

    Needs norms: T backward passes through `space`.

    Args:
        momentum: of the average, 0 ≤ momentum < 1; 0.9.
        space: where gradients are measured; all shared parameters.

    Source: the second half of DB-MTL, see `db_mtl`.
    """

    momentum: float = 0.9
    space: Space = "all_shared"

    needs = frozenset({"norms"})
    scope = "shared"
    averages_gradients = True

    def init(self, tasks: int) -> State:
        return _average.init(tasks)

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        norms, state = _average.updated(signals.norms, state, self.momentum, signals.active)
        shown = signals.active & (norms > NEGLIGIBLE)
        longest = np.where(shown, norms, 0.0).max(-1, keepdims=True)
        return longest / np.where(shown, norms, 1.0) * shown, state
