"""What arrives at a place of a graph: each task's gradient there, as it is or as the factors of a product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mtctl.balancing.gradients.gathered import Gathered
from mtctl.balancing.gradients.products import at_least_float32


class Arriving(Protocol):
    """The gradients of some tasks' losses at one place: a parameter, or a feature that heads read.

    Attributes:
        tasks: the tasks that depend on it, in order.
        size: how many numbers it has; 0 if no task depends on it.
    """

    @property
    def tasks(self) -> tuple[int, ...]: ...

    @property
    def size(self) -> int: ...

    def gradient(self, task: int) -> Tensor:
        """Return the gradient of one of these tasks, in the place's shape."""
        ...

    def rows(self, tasks: Sequence[int]) -> Tensor:
        """Return the gradients [tasks, *place's shape]; 0 for tasks that do not depend on it."""
        ...

    def weighted(self, weights: Tensor) -> Tensor:
        """Return Σᵢ wᵢ·gᵢ in the place's shape, for weights [T]."""
        ...

    def gramian(self, tasks: int) -> Tensor:
        """Return [T, T] float64 inner products Re⟨gᵢ, gⱼ⟩ of T tasks."""
        ...

    def norms(self, tasks: int) -> Tensor:
        """Return [T] float64 lengths ‖gᵢ‖ of T tasks."""
        ...


@dataclass(frozen=True, slots=True)
class Factored:
    """Gradients gᵢ = δᵢ·W̄ᵢ of heads that begin with a linear layer y = f·Wᵢᵀ + b on a feature f [N, in].

    Neither their weighted sum nor their inner products need the T·N·in numbers of the gradients themselves:
    Re⟨gᵢ, gⱼ⟩ is the real part of the sum over (δᵢᵀδ̄ⱼ) ∘ (W̄ᵢ·Wⱼᵀ).

    Args:
        tasks: which tasks.
        widths: for each of them, how many outputs its layer has: outᵢ.
        deltas: [N, Σ outᵢ] the losses' gradients δᵢ at these outputs, side by side.
        matrices: [in, Σ outᵢ] the layers' Wᵢᴴ, side by side.
    """

    tasks: tuple[int, ...]
    widths: tuple[int, ...]
    deltas: Tensor
    matrices: Tensor

    @property
    def size(self) -> int:
        return len(self.deltas) * len(self.matrices)

    def gradient(self, task: int) -> Tensor:
        return self.rows([task])[0]

    def rows(self, tasks: Sequence[int]) -> Tensor:
        deltas, matrices = self.deltas.split(self.widths, 1), self.matrices.split(self.widths, 1)
        if tuple(tasks) == self.tasks and sum(self.widths) == len(self.tasks):
            # Laid out row after row: what comes of views keeps their order in memory.
            return self.deltas.t().contiguous().unsqueeze(2) * self.matrices.t().contiguous().unsqueeze(1)
        found = self.deltas.new_zeros(len(tasks), len(self.deltas), len(self.matrices))
        for place, task in enumerate(tasks):
            if task in self.tasks:
                own = self.tasks.index(task)
                torch.mm(deltas[own], matrices[own].t(), out=found[place])
        return found

    def weighted(self, weights: Tensor) -> Tensor:
        # Small weights would be lost in half precision.
        deltas = at_least_float32(self.deltas)
        scales = weights[list(self.tasks)].repeat_interleave(self._counts).to(deltas)
        return torch.mm(deltas * scales, self.matrices.t().to(deltas)).to(self.deltas)

    def gramian(self, tasks: int) -> Tensor:
        if self._costs_more_than_rows:
            return Gathered.stacked(self.tasks, self.rows(self.tasks)).gramian(tasks)
        deltas, matrices = _doubled(self.deltas), _doubled(self.matrices)
        pairs = torch.mm(deltas.t(), deltas.conj()).mul_(torch.mm(matrices.t(), matrices.conj()))
        pairs = (pairs.real if pairs.is_complex() else pairs).cpu()
        place = torch.tensor(self.tasks).repeat_interleave(self._counts)
        by_task = torch.zeros(tasks, len(place), dtype=torch.float64).index_add_(0, place, pairs)
        return torch.zeros(tasks, tasks, dtype=torch.float64).index_add_(1, place, by_task)

    def norms(self, tasks: int) -> Tensor:
        # Rounding may leave a square of what is 0 a little below it.
        return self.gramian(tasks).diagonal().clamp(min=0).sqrt()

    @property
    def _counts(self) -> Tensor:
        return torch.tensor(self.widths)

    @property
    def _costs_more_than_rows(self) -> bool:
        """Whether the products of all pairs of outputs take longer than the gradients."""
        width, tasks = sum(self.widths), len(self.tasks)
        return width**2 * (len(self.deltas) + len(self.matrices)) > self.size * (width + tasks**2)


def _doubled(values: Tensor) -> Tensor:
    return values.to(torch.complex128 if values.is_complex() else torch.float64)
