"""Adam on a vector of T values, one clock per task, as a pure function: state in, state out.

    m ← β₁·m + (1 − β₁)·g,   v ← β₂·v + (1 − β₂)·g²,   x ← x − lr · m̂ / (√v̂ + ε)

with m̂ = m/(1 − β₁ⁿ) and v̂ = v/(1 − β₂ⁿ) after n moves of that task. No weight decay: it would pull learned
weights towards a value that means nothing.

Source: Kingma & Ba, Adam, 2015 (arXiv 1412.6980).
"""

from __future__ import annotations

import numpy as np

from mtctl.balancing.contract import Array, Mask, State

# The paper's values, which the methods that use Adam assume.
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def init(tasks: int) -> State:
    """Return the state before the first move: arrays [T]."""
    return {name: np.zeros(tasks) for name in ("adam_mean", "adam_square", "adam_moves")}


def move(values: Array, gradient: Array, state: State, lr: float, moving: Mask) -> tuple[Array, State]:
    """Return the moved values [..., T] and Adam's next state.

    Args:
        values: [..., T] what is learned.
        gradient: [..., T] its gradient.
        state: what `init` or the previous move returned; other entries are ignored.
        lr: learning rate, in units of `values` per move.
        moving: [..., T]; the other entries keep value, moments and clock.
    """
    gain1, gain2 = (1 - BETA1) * moving, (1 - BETA2) * moving
    mean = state["adam_mean"] + gain1 * (gradient - state["adam_mean"])
    square = state["adam_square"] + gain2 * (gradient * gradient - state["adam_square"])
    moves = state["adam_moves"] + moving
    n = np.maximum(moves, 1)
    step = mean / (1 - BETA1**n) / (np.sqrt(square / (1 - BETA2**n)) + EPS)
    return values - lr * step * moving, {"adam_mean": mean, "adam_square": square, "adam_moves": moves}
