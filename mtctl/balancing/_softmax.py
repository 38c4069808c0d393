"""Softmax over the active tasks."""

from __future__ import annotations

import numpy as np

from mtctl.balancing.contract import Array, Mask

_LOWEST = np.finfo(np.float64).min


def softmax(logits: Array, active: Mask) -> Array:
    """Return e^(logits)/Σ e^(logits) over the active tasks, [..., T]; 0 for the others, all 0 without any.

    Args:
        logits: [..., T].
        active: [..., T].
    """
    top = np.maximum.reduce(logits, axis=-1, keepdims=True, where=active, initial=_LOWEST)
    exponentials = np.exp(np.where(active, logits - top, -np.inf))
    total = np.add.reduce(exponentials, axis=-1, keepdims=True)
    return exponentials / np.where(total > 0, total, 1.0)
