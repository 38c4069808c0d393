"""Weights that are worked out at some steps and used again at the others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from mtctl.balancing.contract import Array, Balancer, Mask, Need, Scope, Signals, Space, State

_WEIGHTS, _LEFT = "every.weights", "every.left"


@dataclass(frozen=True)
class Every(Balancer):
    """Any method, asked at every k-th step; its weights are used again at the steps between.

    Between these steps the method sees nothing: its windows, averages and learning rates count the steps at
    which it is asked, and what it needs is not measured. With norms or a Gramian this saves T backward passes
    at k − 1 of k steps, for weights that are up to k − 1 steps old.

    An active task without a weight that is still good (it was absent when the method was last asked) has it
    asked again at once, so that nobody trains with a weight of 0 by mistake.

    Args:
        method: what is asked.
        steps: k ≥ 1; 1 is the method itself.

    Source: the authors of Nash-MTL (Navon et al., 2022, arXiv 2202.01017) update weights this way.
    """

    method: Balancer
    steps: int
    needs: frozenset[Need] = field(init=False, repr=False, compare=False)
    space: Space = field(init=False, repr=False, compare=False)
    scope: Scope = field(init=False, repr=False, compare=False)
    averages_gradients: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("needs", "space", "scope", "averages_gradients"):
            object.__setattr__(self, name, getattr(self.method, name))

    def init(self, tasks: int) -> State:
        return {**self.method.init(tasks), _WEIGHTS: np.zeros(tasks), _LEFT: np.zeros(tasks)}

    def parameters(self, tasks: int) -> int:
        return self.method.parameters(tasks)

    def asks(self, active: Mask, state: State) -> frozenset[Need]:
        return self.method.asks(active, _inner(state)) if _due(active, state).any() else frozenset()

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        active, due = signals.active, _due(signals.active, state)
        if not due.any():
            left = state[_LEFT] - active
            return state[_WEIGHTS] * active, {**state, _LEFT: left}
        fresh, memory = self.method.weigh(signals, _inner(state), rng)
        weights = np.where(due, fresh, state[_WEIGHTS])
        left = np.where(due, (self.steps - 1) * active, state[_LEFT] - active)
        memory = {name: np.where(due, value, state[name]) for name, value in memory.items()}
        return weights * active, {**memory, _WEIGHTS: weights, _LEFT: left}

    def follow(self, before: Array, after: Array, active: Mask, state: State) -> State:
        inner = _inner(state)
        # Asked in this step were those whose weights have their whole time before them.
        asked = np.logical_or.reduce(active & (state[_LEFT] == self.steps - 1), axis=-1, keepdims=True)
        learned = self.method.follow(before, after, active, inner)
        return {**state, **{name: np.where(asked, value, inner[name]) for name, value in learned.items()}}


def _due(active: Mask, state: State) -> Mask:
    """Say [..., 1] whether the method is asked: an active task has used up its weight, or has none."""
    return np.logical_or.reduce(active & (state[_LEFT] == 0), axis=-1, keepdims=True)


def _inner(state: State) -> State:
    return {name: value for name, value in state.items() if name not in (_WEIGHTS, _LEFT)}
