"""EnCodec's loss balancer: gradients of given length shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing import _average, _by_task
from mtctl.balancing._positive import NEGLIGIBLE
from mtctl.balancing.contract import Array, Balancer, Signals, Space, State


@dataclass(frozen=True)
class Encodec(Balancer):
    """Each task's gradient rescaled to a fixed share of a fixed length.

        d = Σᵢ (λᵢ/Σⱼλⱼ)·R·gᵢ/mᵢ,   hence   wᵢ = (λᵢ/Σⱼλⱼ)·R/mᵢ,   mᵢ = EMA of ‖gᵢ‖

    λᵢ says which part of the update's length is task i's, whatever the scale of its loss: a base weight for
    gradients, not for losses. The sums are over the active tasks. Since mᵢ is an average, one step's long
    gradient is still a long step.

    The paper takes the gradients on the network's output, on which all its losses depend; here it is the last
    shared layer. The weights act on shared parameters only: a task's own ones, which that network has none
    of, follow their own loss.

    The average starts without bias: after n steps it is divided by 1 − βⁿ, without which the first update
    would be 1/(1 − β) = 1000 times too long. A task whose gradient has always been 0 gets weight 0.

    Helps: where losses have scales that drift, and it is known which share of the update each task should
    have.

    Fails: towards the end: a solved task keeps its share, noise and all, and steps do not get shorter by
    themselves. Conflicts are not seen.

    Needs norms: T backward passes through `space`.

    Args:
        momentum: β of the average, 0 ≤ β < 1; 0.999 as in the paper.
        total_norm: R, the sum of the lengths, in units of the gradient; 1 as in the paper. It replaces the
            gradients' own scale, so that with plain SGD it acts like a learning rate.
        base_weights: [T] λᵢ; 1 each if left out.
        space: where gradients are measured; the last shared layer, next to where the paper does.

    Raises:
        ValueError: the number of base weights is not the number of tasks.

    Source: Défossez, Copet, Synnaeve & Adi, High Fidelity Neural Audio Compression, 2022 (arXiv 2210.13438).
    """

    momentum: float = 0.999
    total_norm: float = 1.0
    base_weights: _by_task.Values = None
    space: Space = "last_shared"

    needs = frozenset({"norms"})
    scope = "shared"
    averages_gradients = True

    def init(self, tasks: int) -> State:
        _by_task.refuse_wrong_number(tasks, base_weights=self.base_weights)
        return _average.init(tasks)

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        norms, state = _average.updated(signals.norms, state, self.momentum, signals.active)
        share = _by_task.array(self.base_weights) * signals.active
        total = share.sum(-1, keepdims=True)
        shown = norms > NEGLIGIBLE
        weights = self.total_norm * share / np.where(total > 0, total, 1.0) / np.where(shown, norms, 1.0)
        return weights * shown, state
