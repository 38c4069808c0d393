"""Weights that are worked out at some steps and used again at the others: a method's setting `every`.

Between the steps at which it is asked the method sees nothing: its windows, averages and learning rates
count its own steps, and what it needs is not measured. With norms or a Gramian this saves T backward passes
at k − 1 of k steps, for weights that are up to k − 1 steps old.

An active task without a weight that is still good (it was absent when the method was last asked) has it asked
again at once, so that nobody trains with a weight of 0 by mistake. Runs of a stack are asked one by one.

These functions take a method's place in a chain; with `every: 1` they are the method's own.

Source: the authors of Nash-MTL (Navon et al., 2022, arXiv 2202.01017) update weights this way.
"""

from __future__ import annotations

import numpy as np

from mtctl.balancing.contract import Array, Mask, Method, Need, Random, Signals, State

_WEIGHTS, _LEFT = "every.weights", "every.left"


def init(method: Method, tasks: tuple[str, ...]) -> State:
    """Return the state before the first step."""
    state = method.init(tasks)
    if method.period > 1:
        state |= {_WEIGHTS: np.zeros(len(tasks)), _LEFT: np.zeros(len(tasks))}
    return state


def asks(method: Method, active: Mask, state: State) -> frozenset[Need]:
    """Return what the method will look at in this step."""
    if method.period == 1:
        return method.asks(active, state)
    return method.asks(active, _own(state)) if _due(active, state).any() else frozenset()


def weigh(method: Method, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
    """Return weights [..., T] and the next state."""
    if (steps := method.period) == 1:
        return method.weigh(signals, state, rng)
    active, due = signals.active, _due(signals.active, state)
    left = state[_LEFT] - active
    if not due.any():
        return state[_WEIGHTS] * active, {**state, _LEFT: left}
    own = _own(state)
    if due.all():
        weights, memory = method.weigh(signals, own, rng)
    else:
        whole = {name: np.broadcast_to(value, (*due.shape, value.shape[-1])) for name, value in state.items()}
        asked = {name: whole[name][due] for name in own}
        fresh, learned = method.weigh(signals.of(due), asked, rng.of(due))
        weights = _replaced(whole[_WEIGHTS], due, fresh)
        memory = {name: _replaced(whole[name], due, value) for name, value in learned.items()}
    left = np.where(due[..., None], (steps - 1) * active, left)
    return weights * active, {**memory, _WEIGHTS: weights, _LEFT: left}


def follow(method: Method, before: Signals, after: Array, state: State) -> State:
    """Return the state after the step; runs whose weights were used again have learned nothing."""
    if (steps := method.period) == 1:
        return method.follow(before, after, state)
    own = _own(state)
    # Asked in this step were those whose weights have their whole time before them.
    asked = np.logical_or.reduce(before.active & (state[_LEFT] == steps - 1), axis=-1, keepdims=True)
    learned = method.follow(before, after, own)
    return {**state, **{name: np.where(asked, value, own[name]) for name, value in learned.items()}}


def _due(active: Mask, state: State) -> Mask:
    """Say [...] whether the method is asked: an active task has used up its weight, or has none."""
    return np.asarray(np.logical_or.reduce(active & (state[_LEFT] == 0), axis=-1))


def _own(state: State) -> State:
    return {name: value for name, value in state.items() if name not in (_WEIGHTS, _LEFT)}


def _replaced(values: Array, runs: Mask, fresh: Array) -> Array:
    """Return values [..., T] with those of some runs in their place."""
    values = values.copy()
    values[runs] = fresh
    return values
