"""Settings that are given task by task."""

from __future__ import annotations

import numpy as np

from mtctl.balancing.contract import Array

Values = tuple[float, ...] | None
"""One number for each task, in their order; None: 1 for each."""


def array(values: Values) -> Array:
    """Return the numbers as [T], or as [1] (which goes with any T) where none are given."""
    return np.array((1.0,) if values is None else values, dtype=np.float64)


def refuse_wrong_number(tasks: int, **settings: Values) -> None:
    """Raise where a setting does not give one number for each task.

    Raises:
        ValueError: with the setting's name, what was expected and what was found.
    """
    for name, values in settings.items():
        if values is not None and len(values) != tasks:
            raise ValueError(f"{name}: expected one for each of {tasks} tasks, found {len(values)}")
