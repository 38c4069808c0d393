"""Adaptive gradient scaling: base weights, scaled towards a common gradient norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mtctl.balancing import _average, _by_task
from mtctl.balancing._positive import NEGLIGIBLE
from mtctl.balancing.contract import Array, Balancer, Signals, Space, State


@dataclass(frozen=True)
class AdaptiveScaling(Balancer):
    """Weights that scale each task's average gradient norm towards one target, within bounds.

        mᵢ = EMA of ‖gᵢ‖,   sᵢ = clamp(target/mᵢ, least, most)
        preserve_importance:  w ∝ bᵢ·sᵢ      equalise:  w ∝ sᵢ      Σw = 1

    Since weights are normalised, `target` cancels unless a bound is reached; what it really decides is which
    norms are followed: those from target/most to target/least, 1e-6 to 1e6. The authors' narrow bounds are
    presets of the recipe: where all norms lie on one side of 0.1 to 10, say, all scales are equal and nothing
    is balanced.

    With `preserve_importance` the weighted norms end up in the ratio of the base weights, not equal: norms
    5.2 and 0.8 with base weights 0.7 and 0.3 give weights 0.264 and 0.736, weighted norms 1.374 : 0.589 =
    0.7 : 0.3. `equalise` makes them equal: weights 0.133 and 0.867, weighted norms 0.693 : 0.693. A bound
    that is reached breaks either ratio. The run's signals show what came out as gradient shares.

    Until every active task has `warmup_steps` behind it, weights are the base weights, normalised as well:
    they add up to 1 over the active tasks, so that the step is T times shorter than that of a plain sum. A
    task of base weight 0 stays at 0 in either mode. So does, after the warm-up, a task whose gradient has
    always been 0: it would take the largest scale, and with it nearly the whole sum, from the others.

    Helps: where base weights should keep their meaning while gradient norms drift.

    Fails: with narrow bounds, where all norms lie beyond one of them, so that nothing is balanced; and where
    `preserve_importance` is taken for equal shares. Conflicts are not seen.

    Needs norms: T backward passes through `space`.

    Args:
        mode: `preserve_importance`, the rule as its authors wrote it, or `equalise`, what they say it does.
        target: in units of the gradient norm; 1, in the middle of norms from 1e-6 to 1e6.
        momentum: of the average, 0 ≤ momentum < 1; 0.9. It starts without bias.
        least: smallest sᵢ; 1e-6, so that losses in any units are told apart. 0.1 switches no task off.
        most: largest sᵢ; 1e6, likewise. 10 blows up no task's noise.
        warmup_steps: steps of each task before its weight moves; 0, for the average is one from the first
            step on. A network that has been trained with long gradients meanwhile is slow to learn after.
        base_weights: [T] bᵢ; 1 each if left out.
        space: where norms are measured; all shared parameters.

    Raises:
        ValueError: the number of base weights is not the number of tasks.

    Source: a published PPO project with discrete and continuous actions; no paper.
    """

    mode: Literal["preserve_importance", "equalise"] = "preserve_importance"
    target: float = 1.0
    momentum: float = 0.9
    least: float = 1e-6
    most: float = 1e6
    warmup_steps: int = 0
    base_weights: _by_task.Values = None
    space: Space = "all_shared"

    needs = frozenset({"norms"})
    averages_gradients = True

    def init(self, tasks: int) -> State:
        _by_task.refuse_wrong_number(tasks, base_weights=self.base_weights)
        return _average.init(tasks)

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        norms, state = _average.updated(signals.norms, state, self.momentum, signals.active)
        # The clamp is put on the norm: dividing by it is then always safe.
        scale = self.target / np.clip(norms, self.target / self.most, self.target / self.least)
        base = _by_task.array(self.base_weights) * signals.active
        importance = base if self.mode == "preserve_importance" else base > 0
        warm = ((state["averaged"] > self.warmup_steps) | ~signals.active).all(-1, keepdims=True)
        weights = np.where(warm, importance * scale * (norms > NEGLIGIBLE), base)
        total = weights.sum(-1, keepdims=True)
        return weights / np.where(total > 0, total, 1.0), state
