"""Planted faults of the model and its training, for the windows problem. Those of the data are in data.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from mtctl.problems.windows.parts import (
    Contradiction,
    DeadHead,
    Detached,
    Fault,
    FrozenTrunk,
    NotInOptimizer,
    ReversedGradient,
    SaturatedHead,
    ScaledLoss,
)

_CERTAIN = math.log((1 - 1e-6) / 1e-6)
"""Logit of a probability clamped to 1 − 1e-6."""
_CLOSED = 1e4
"""How far below its threshold a dead head's ReLU is kept; no output comes near."""


class Tampering:
    """What the planted faults do to a forward pass and to the optimizer; nothing without faults.

    Args:
        faults: of the recipe.
        tasks: that are trained.
    """

    def __init__(self, faults: Sequence[Fault], tasks: Sequence[str]) -> None:
        self._faults = faults
        self.frozen_trunk = any(isinstance(fault, FrozenTrunk) for fault in faults)
        self.left_out: set[str] = {fault.task for fault in faults if isinstance(fault, NotInOptimizer)}
        self.contradicted: dict[str, str] = {
            fault.by: fault.task
            for fault in faults
            if isinstance(fault, Contradiction) and {fault.task, fault.by} <= set(tasks)
        }
        """For each task that contradicts, whose output it fights over."""
        self._factors: dict[str, float] = {
            fault.task: fault.factor for fault in faults if isinstance(fault, ScaledLoss)
        }

    def factor(self, task: str) -> float:
        """Return the factor on a task's loss."""
        return self._factors.get(task, 1.0)

    def features(self, task: str, given: Tensor) -> Tensor:
        """Return a head's features as it gets them: values stay, gradients may not."""
        for fault in self._faults:
            if isinstance(fault, Detached) and fault.task == task:
                given = given.detach()
            if isinstance(fault, ReversedGradient) and fault.task == task:
                given = 2 * given.detach() - given
        return given

    def output(self, task: str, raw: Tensor) -> Tensor:
        """Return a head's raw output as its loss gets it."""
        for fault in self._faults:
            if isinstance(fault, SaturatedHead) and fault.task == task:
                raw = (raw + fault.bias).clamp(-_CERTAIN, _CERTAIN)
            if isinstance(fault, DeadHead) and fault.task == task:
                raw = (raw - _CLOSED).relu()
        return raw
