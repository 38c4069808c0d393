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
    logits = np.where(active, logits, -np.inf)
    # Without an active task the top is −∞ too, and −∞ − (−∞) is no number.
    top = np.maximum(np.maximum.reduce(logits, axis=-1, keepdims=True), _LOWEST)
    exponentials = np.exp(logits - top)
    total = np.add.reduce(exponentials, axis=-1, keepdims=True)
    return np.asarray(exponentials / np.where(total > 0, total, 1.0))
