"""Adam on a vector of T values, one clock per task, as a pure function: state in, state out.

    m ← β₁·m + (1 − β₁)·g,  v ← β₂·v + (1 − β₂)·g²,  x ← x − lr · m̂ / (√v̂ + ε)

with m̂ = m/(1 − β₁ⁿ) and v̂ = v/(1 − β₂ⁿ) after n moves of that task. Kingma & Ba, 2015. No weight decay: it would
pull learned weights towards a value that means nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mtctl.balancing.contract import State

# The paper's values, which the methods that use Adam assume.
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def init(tasks: int) -> State:
    """Return the state before the first move: entries [T]."""
    return {
        name: torch.zeros(tasks, dtype=torch.float64) for name in ("adam_mean", "adam_square", "adam_moves")
    }


def move(values: Tensor, gradient: Tensor, state: State, lr: float, moving: Tensor) -> tuple[Tensor, State]:
    """Return the moved values [..., T] and Adam's next state.

    Args:
        values: [..., T] what is learned.
        gradient: [..., T] its gradient.
        state: what `init` or the previous move returned (other entries are ignored).
        lr: learning rate, in units of `values` per move.
        moving: [..., T] bool; the other entries keep value, moments and clock.
    """
    moves = state["adam_moves"] + moving
    mean = torch.lerp(state["adam_mean"], gradient, 1 - BETA1).where(moving, state["adam_mean"])
    square = torch.lerp(state["adam_square"], gradient * gradient, 1 - BETA2).where(
        moving, state["adam_square"]
    )
    scale = (square / (1 - BETA2**moves)).sqrt() + EPS
    step = mean / (1 - BETA1**moves) / scale
    return (values - lr * step).where(moving, values), {
        "adam_mean": mean,
        "adam_square": square,
        "adam_moves": moves,
    }
