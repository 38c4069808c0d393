"""Gradients of losses that were multiplied by a factor S against underflow, shown as if S were 1.

    ∇Lᵢ = ∇(S·Lᵢ) / S

Float16 ends at 65,504 and rounds what is below 3e-8 to 0. Of scaled losses, small gradients survive the
backward pass, and an S that is too large shows: something is infinite, or no number. A step is then passed
over, and tried again with a smaller S (Micikevicius et al., 2018, "Mixed Precision Training", ICLR).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from mtctl.balancing.contract import Space
from mtctl.balancing.task_gradients import Shown, TaskGradients


class Overflow(Exception):  # noqa: N818 - named after what happened
    """Gradients of scaled losses that are not finite, and that nobody has learned from.

    Args:
        gradients: as they are.
    """

    def __init__(self, gradients: ScaledGradients) -> None:
        super().__init__("gradients of scaled losses are not finite")
        self.gradients = gradients


class Unscaled:
    """What a step shows, as it would be without the factor that all losses were multiplied with.

    Args:
        gradients: of scaled losses, which stay what they are.
        scale: the factor S > 0; 1 without.
    """

    def __init__(self, gradients: Shown, scale: float) -> None:
        self.tasks, self.scale = gradients.tasks, scale
        self.losses, self.active = gradients.losses / scale, gradients.active
        self.importance = gradients.importance
        self._shown = gradients

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        return self._shown.norms(space) / self.scale

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`."""
        return self._shown.gramian(space) / self.scale**2


class Combinable(TaskGradients, Protocol):
    """Per-task gradients that name the parameters they are combined into."""

    @property
    def leaves(self) -> Sequence[Tensor]: ...


class ScaledGradients(Unscaled):
    """`TaskGradients` of scaled losses: what is measured and what is combined is without S, and finite.

    Args:
        gradients: of losses S·Lᵢ.
        scale: S; a power of 2, so that only the range of numbers changes and no digit of theirs.
        headed: [T] bool, the tasks that have parameters of their own.

    Raises:
        Overflow: by whatever is asked for, where it is not finite.
    """

    auxiliary: Tensor | None = None

    def __init__(self, gradients: Combinable, scale: float, headed: Tensor) -> None:
        super().__init__(gradients, scale)
        self._gradients, self._headed = gradients, headed

    def norms(self, space: Space) -> Tensor:
        return self._finite(super().norms(space))

    def gramian(self, space: Space) -> Tensor:
        return self._finite(super().gramian(space))

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        norms = self._gradients.own_norms() / self.scale
        self._finite(norms[self._headed & self.active])
        return norms

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and ownᵢ·∇Lᵢ (a task's own) into `.grad`."""
        self._gradients.combine(shared, own)
        for leaf in self._gradients.leaves:
            if leaf.grad is not None:
                leaf.grad = leaf.grad / self.scale  # not in place: some may be one tensor
        if not self._gradients.finite():
            raise Overflow(self)

    def finite(self) -> bool:
        """Say whether the combined gradient is finite: `combine` has seen to it."""
        return True

    def overflowing(self) -> list[int]:
        """Return the tasks whose own gradients are not finite; none where only their sum is not."""
        own = self._gradients.own_norms()
        bad = ~self._gradients.norms("all_shared").isfinite() | (self._headed & ~own.isfinite())
        return torch.nonzero(bad & self.active).flatten().tolist()

    def _finite(self, values: Tensor) -> Tensor:
        if not bool(values.isfinite().all()):
            raise Overflow(self)
        return values
