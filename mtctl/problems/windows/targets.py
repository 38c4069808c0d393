"""What the four heads learn: type, pointer, mask and countdown of the expansion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mtctl.problems.windows.windows import LENGTH, Integers, LabelledWindows

HORIZON: Final = 20
"""Bars beyond which the countdown stops counting; the study's value."""
OUTPUTS: Final = {"type": 3, "ptr": 2, "binary": LENGTH, "countdown": LENGTH}
"""Elements of each head's output, as the documented fixes count them."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """One target per task and window; t counts bars from 0, s and e are the expansion's first and last.

    Args:
        type: [N] index in `TYPES`.
        ptr: [N, 2] centre (s + e)/2 and length e − s, both in windows (divided by 105).
        binary: [N, 105] 1 where s ≤ t ≤ e, else 0.
        countdown: [N, 105] bars until the start: s − t, clipped to ±20.
    """

    type: Integers
    ptr: npt.NDArray[np.float32]
    binary: npt.NDArray[np.float32]
    countdown: npt.NDArray[np.float32]


def targets(windows: LabelledWindows) -> Targets:
    """Return the targets of every window."""
    bar = np.arange(LENGTH)
    start, end = windows.start[:, None], windows.end[:, None]
    return Targets(
        type=windows.label,
        ptr=(np.hstack([(start + end) / 2, end - start]) / LENGTH).astype(np.float32),
        binary=((start <= bar) & (bar <= end)).astype(np.float32),
        countdown=np.clip(start - bar, -HORIZON, HORIZON).astype(np.float32),
    )
