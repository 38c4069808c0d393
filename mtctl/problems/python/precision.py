"""In which precision a user's model computes, and the loss scale that float16 needs.

float32   range 1e-45 … 3e38, 24 bits
bfloat16  the same range, 8 bits: autocast
float16   range 6e-8 … 65,504, 11 bits: autocast, and losses multiplied by S in the backward pass
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import torch
from torch import Tensor

from mtctl.balancing.gradients.products import at_least_float32
from mtctl.problems.score import Figures

Name = Literal["fp32", "bf16", "fp16"]

FIRST_SCALE: Final = 2.0**16
GROWTH: Final = 2.0
BACKOFF: Final = 0.5
GROWTH_INTERVAL: Final = 2000
"""Updates in a row after which the scale grows; all four are those of `torch.amp.GradScaler`."""
SMALLEST_SCALE: Final = 2.0**-24
"""The smallest number of float16: with less, gradients of 1 would be 0."""
REMEDY: Final = (
    "float16 ends at 65,504: `-o training.precision=bf16` and fp32 go further, `training.standardise` keeps "
    "answers in units of their spread"
)
SCALED_LOSSES: Final = Figures("loss", extra=("loss_scale", "skipped_steps"))
"""What is recorded where losses are scaled."""


class LossScale:
    """The factor S of losses, as large as their gradients allow (Micikevicius et al., 2018).

    Doubled after 2,000 updates in a row, halved by a step whose gradients overflow: the state and the rules
    of `torch.amp.GradScaler`, apart from the question which gradients overflow.

    Attributes:
        value: S, a power of 2.
        skipped: steps of this epoch that were passed over.
    """

    def __init__(self) -> None:
        self.value, self.skipped = FIRST_SCALE, 0
        self._since = 0

    def scaled(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return losses times S, in float32 at least."""
        return {task: at_least_float32(loss) * self.value for task, loss in losses.items()}

    def updated(self) -> None:
        """Count an update that was made."""
        self._since += 1
        if self._since == GROWTH_INTERVAL:
            self.value, self._since = self.value * GROWTH, 0

    def back_off(self) -> bool:
        """Count a step whose gradients overflow; return False where a smaller S would not help."""
        if self.value <= SMALLEST_SCALE:
            return False
        self.value, self._since = self.value * BACKOFF, 0
        self.skipped += 1
        return True

    def epoch_ended(self) -> dict[str, float]:
        """Return what the epoch's record says, and begin to count anew."""
        told = {"loss_scale": self.value, "skipped_steps": self.skipped}
        self.skipped = 0
        return told

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "since": self._since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value, self._since, self.skipped = state["value"], state["since"], 0


class Precision:
    """How a run computes.

    Args:
        name: of the precision of products and convolutions.
        device: of the model.

    Attributes:
        scale: of losses; None where they need none.
    """

    def __init__(self, name: Name, device: torch.device) -> None:
        self._type = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
        self._device = device.type
        self.scale = LossScale() if name == "fp16" else None

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Let a user's code compute in this precision."""
        if self._type is None:
            yield
            return
        with torch.autocast(self._device, dtype=self._type):
            yield

    @contextmanager
    def full(self) -> Iterator[None]:
        """Compute in float32 meanwhile, without a scale."""
        before = self._type, self.scale
        self._type, self.scale = None, None
        try:
            yield
        finally:
            self._type, self.scale = before
