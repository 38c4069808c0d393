"""The tasks' gradients at one place, gathered as they arrive, in no more memory than they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from mtctl.balancing.gradients import products
from mtctl.balancing.gradients.products import Rows, real_rows

_HALVES: Final = (torch.float16, torch.bfloat16)


class Gathered:
    """Gradients at one place, a row for each task that depends on it.

    Rows go into one block as they arrive: what is made of them later needs no second one. Sparse gradients,
    as embeddings give them, stay sparse as long as all tasks' are: a block then holds what any of them
    touches, however large the vocabulary.

    Args:
        most: how many tasks may arrive.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: list[int] = []
        self._shape, self._dtype = torch.Size(), torch.float32
        self._block = torch.zeros(0)
        self._sparse: list[Tensor] = []
        self._indices: Tensor | None = None

    @classmethod
    def stacked(cls, tasks: Sequence[int], gradients: Tensor) -> Gathered:
        """Return dense gradients [tasks, *place's shape] of these tasks."""
        gathered = cls(len(tasks))
        gathered.extend(tasks, gradients)
        return gathered

    def add(self, task: int, gradient: Tensor) -> None:
        """Take a task's gradient, in the place's shape; tasks come in order, each once."""
        self._tasks.append(task)
        self._shape, self._dtype = gradient.shape, gradient.dtype
        if gradient.layout == torch.sparse_coo and len(self._sparse) == len(self._tasks) - 1:
            self._sparse.append(gradient.coalesce())
            return
        for place, before in enumerate(self._sparse):
            self._write(place, before)
        self._sparse = []
        self._write(len(self._tasks) - 1, gradient)

    def extend(self, tasks: Sequence[int], gradients: Tensor) -> None:
        """Take several tasks' dense gradients at once, [tasks, *place's shape]."""
        rows, start = real_rows(gradients), len(self._tasks)
        self._tasks += tasks
        self._shape, self._dtype = gradients.shape[1:], gradients.dtype
        if len(tasks) == self._most:
            self._block = rows
            return
        if not start:
            self._block = rows.new_empty(self._most, rows.shape[1])
        self._block[start : len(self._tasks)] = rows

    def _write(self, place: int, gradient: Tensor) -> None:
        (row,) = real_rows(gradient.to_dense().unsqueeze(0))
        if self._block.dim() == 1:
            self._block = row.new_empty(self._most, len(row))
        self._block[place] = row

    @property
    def tasks(self) -> tuple[int, ...]:
        return tuple(self._tasks)

    @property
    def size(self) -> int:
        return self._shape.numel() if self._tasks else 0

    @property
    def blocks(self) -> list[Rows]:
        """The gradients, complex numbers as pairs; of sparse ones what is touched. Empty if no task came."""
        if self._sparse:
            self._compact()
        return [Rows(self.tasks, self._block[: len(self._tasks)])] if self._tasks else []

    def gradient(self, task: int) -> Tensor:
        place = self._tasks.index(task)
        return self._sparse[place] if self._sparse else self._in_shape(self._block[place])

    def rows(self, tasks: Sequence[int]) -> Tensor:
        if tuple(tasks) == self.tasks and self._indices is None and not self._sparse:
            return as_gradient(self._block[: len(tasks)], (len(tasks), *self._shape), self._dtype)
        dense = {task: self.gradient(task).to_dense() for task in self._tasks}
        nothing = torch.zeros_like(dense[self._tasks[0]])
        return torch.stack([dense.get(task, nothing) for task in tasks])

    def weighted(self, weights: Tensor) -> Tensor:
        """Return Σᵢ wᵢ·gᵢ in the place's shape, for weights [T]; sparse if all gradients are."""
        (rows,) = self.blocks
        return self._in_shape(_weighted(weights, rows))

    def gramian(self, tasks: int) -> Tensor:
        return products.gramian(self.blocks, tasks)

    def norms(self, tasks: int) -> Tensor:
        return products.norms(self.blocks, tasks)

    def _in_shape(self, values: Tensor) -> Tensor:
        """Return one row [P] as a gradient."""
        if self._indices is None:
            return as_gradient(values, self._shape, self._dtype)
        touched = (self._indices.shape[1], *self._shape[self._indices.shape[0] :])
        found = as_gradient(values, touched, self._dtype)
        return torch.sparse_coo_tensor(
            self._indices, found, self._shape, is_coalesced=True, check_invariants=False
        )

    def _compact(self) -> None:
        """Write sparse gradients side by side: a column for each place that any of them touches."""
        shape = self._sparse[0].shape[: self._sparse[0].sparse_dim()]
        places = [_places(gradient.indices(), shape) for gradient in self._sparse]
        touched, columns = torch.unique(torch.cat(places), return_inverse=True)
        self._indices = torch.stack(torch.unravel_index(touched, shape))
        for place, column in enumerate(columns.split([len(one) for one in places])):
            values = self._sparse[place].values()
            row = values.new_zeros(len(touched), *values.shape[1:])
            row[column] = values
            self._write(place, row)
        self._sparse = []


def _places(indices: Tensor, shape: torch.Size) -> Tensor:
    """Return [n] the numbers of places [dimensions, n] in a table of that shape, counted row by row."""
    places = indices[0]
    for index, size in zip(indices[1:], shape[1:], strict=True):
        places = places * size + index
    return places


def _weighted(weights: Tensor, rows: Rows) -> Tensor:
    """Return [P] Σᵢ wᵢ·gᵢ of rows, for weights [T]."""
    scales = weights[list(rows.tasks)]
    if rows.values.dtype not in _HALVES:
        return torch.mv(rows.values.t(), scales.to(rows.values))
    # Weights would lose their digits, and sums theirs.
    total = rows.values.new_zeros(rows.values.shape[1], dtype=torch.float32)
    for scale, row in zip(scales.tolist(), rows.values, strict=True):
        total.add_(row, alpha=scale)
    return total.to(rows.values)


def as_gradient(values: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return numbers in a shape; pairs as complex numbers if the dtype is complex."""
    return torch.view_as_complex(values.view(*shape, 2)) if dtype.is_complex else values.view(shape)


def added(one: Tensor, other: Tensor) -> Tensor:
    """Return one + other, each of which may be sparse."""
    # torch adds what is sparse to what is dense, and not the other way round.
    return other + one if one.is_sparse else one + other
