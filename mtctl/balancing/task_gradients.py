"""What a problem shows of one step: losses and per-task gradients, however it computes them."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mtctl.balancing.contract import Space


class Shown(Protocol):
    """What one step shows of its losses and per-task gradients; computed when it is asked for.

    Numbers of tasks may be on any device; methods get copies of them in main memory.

    Attributes:
        tasks: the T task names.
        losses: [..., T] float64 mean losses Lᵢ, detached; [T] of one run, with leading dimensions of a stack.
        active: [..., T] bool.
        importance: [..., T] float64 aᵢ > 0 of active tasks, what the problem multiplies Lᵢ by in the sum
            Σ aᵢ·Lᵢ that it minimises before anybody balances: 1, or a task's share of the rows of a mixed
            batch. Losses, norms and inner products are those of Lᵢ; a method sees them times a.
    """

    tasks: tuple[str, ...]
    losses: Tensor
    active: Tensor
    importance: Tensor

    def norms(self, space: Space) -> Tensor:
        """Return [..., T] float64 norms of the per-task gradients on `space`."""
        ...

    def gramian(self, space: Space) -> Tensor:
        """Return [..., T, T] float64 inner products of the per-task gradients on `space`."""
        ...


class TaskGradients(Shown, Protocol):
    """One step's losses and per-task gradients, which can be combined.

    Attributes:
        auxiliary: the value of a loss A that is optimised and belongs to no task, such as a critic's; None if
            there is none. Its gradient is added as it is: no method sees or weighs it.
    """

    auxiliary: Tensor | None

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ aᵢ·sharedᵢ·∇Lᵢ + ∇A (shared parameters) and aᵢ·ownᵢ·∇Lᵢ + ∇A (a task's own) into `.grad`.

        Parameters that only A reaches get ∇A. The weights [T] are in main memory.
        """
        ...

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        ...

    def finite(self) -> bool:
        """Say whether the combined gradient is finite, without further passes."""
        ...
