"""An exponential moving average with a clock for each task, as a pure function: state in, state out.

    m ← β·m + (1 − β)·x,   m̂ = m / (1 − βⁿ)

after n values of that task. The division by 1 − βⁿ takes out the start at 0: the first value counts fully.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mtctl.balancing.contract import Array, Mask, State

Momentum = Annotated[float, Field(ge=0, lt=1)]
"""Of an exponential moving average: the part of the old value that a step keeps."""


def init(tasks: int) -> State:
    """Return the state before the first value: arrays [T]."""
    return {"average": np.zeros(tasks), "averaged": np.zeros(tasks)}


def updated(values: Array, state: State, momentum: float, moving: Mask) -> tuple[Array, State]:
    """Return m̂ [..., T] with this step's values in it, and the next state.

    Args:
        values: [..., T] x.
        state: what `init` or the previous call returned; other entries are ignored.
        momentum: β, 0 ≤ β < 1.
        moving: [..., T]; the other entries keep average and clock.
    """
    count = state["averaged"] + moving
    # The same m̂, updated directly: m̂ₙ = (1 − γ)·m̂ₙ₋₁ + γ·x with γ = (1 − β)/(1 − βⁿ).
    gain = moving * (1 - momentum) / (1 - momentum ** np.maximum(count, 1))
    average = (1 - gain) * state["average"] + gain * values
    return average, {"average": average, "averaged": count}
