"""EnCodec's loss balancer: gradients of given length shares."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing import _average, _by_task
from mtctl.balancing._average import Momentum
from mtctl.balancing._by_task import WeightedMethod
from mtctl.balancing._positive import NEGLIGIBLE
from mtctl.balancing.contract import Array, Random, Signals, Space, State
from mtctl.part import PositiveFloat


class Encodec(WeightedMethod):
    """Gradients rescaled to given shares of a given length (EnCodec's balancer; Défossez et al., 2022).

        d = Σᵢ (λᵢ/Σⱼλⱼ)·R·gᵢ/mᵢ,   hence   wᵢ = (λᵢ/Σⱼλⱼ)·R/mᵢ,   mᵢ = EMA of ‖gᵢ‖

    λᵢ, its base weight, says which part of the update's length is task i's, whatever the scale of its loss:
    `base_weights` are of gradients here, not of losses. The sums are over the active tasks. Since mᵢ is an
    average, one step's long gradient is still a long step.

    The paper takes the gradients on the network's output, on which all its losses depend; here it is the last
    shared layer. The weights act on shared parameters only: a task's own ones, which that network has none
    of, follow their own loss.

    The average starts without bias: after n steps it is divided by 1 − βⁿ, without which the first update
    would be 1/(1 − β) = 1000 times too long. A task whose gradient has always been 0 gets weight 0.

    Helps: where losses have scales that drift, and it is known which share of the update each task should
    have.

    Fails: towards the end: a solved task keeps its share, noise and all, and steps do not get shorter by
    themselves. Conflicts are not seen.

    Needs norms: T backward passes through `layer`.

    Source: Défossez, Copet, Synnaeve & Adi, High Fidelity Neural Audio Compression, 2022 (arXiv 2210.13438).
    """

    kind: Literal["encodec"] = "encodec"
    momentum: Momentum = 0.999
    """β of the average of each task's gradient norm; the paper's."""
    total_norm: PositiveFloat = 1.0
    """R, the sum of the lengths of the rescaled gradients. It replaces the gradients' own scale, so that with
    plain SGD it acts like a learning rate."""
    layer: Space = "last_shared"
    """Where gradient norms are taken: the last shared layer's weights, next to the network's output where the
    paper takes them, or all shared parameters."""

    needs = frozenset({"norms"})
    scope = "shared"
    averages_gradients = True

    def init(self, tasks: tuple[str, ...]) -> State:
        return _average.init(len(tasks))

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        norms, state = _average.updated(signals.norms, state, self.momentum, signals.active)
        share = _by_task.array(self.base_weights, signals.tasks) * signals.active
        total = share.sum(-1, keepdims=True)
        shown = norms > NEGLIGIBLE
        weights = self.total_norm * share / np.where(total > 0, total, 1.0) / np.where(shown, norms, 1.0)
        return weights * shown, state
