"""The vector p that says how much each task counts."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mtctl.balancing.contract import Array, Mask

Reduction = Literal["sum", "mean"]
"""How the tasks' parts of an update are put together."""


def preference(active: Mask, reduction: Reduction) -> Array:
    """Return p [..., T]: 1 (`sum`) or one divided by their number (`mean`) for active tasks, 0 for others."""
    if reduction == "sum":
        return active.astype(np.float64)
    return np.asarray(active / np.maximum(np.add.reduce(active, axis=-1, keepdims=True), 1))
