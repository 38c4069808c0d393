"""The tasks' gradients on one parameter, gathered as they arrive, in no more memory than they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from mtctl.balancing.gradients.products import Rows, real_rows

_HALVES: Final = (torch.float16, torch.bfloat16)


class Gathered:
    """Gradients on one parameter, a row for each task that reaches it.

    Rows go into one block as they arrive: what is made of them later needs no second one. Sparse gradients,
    as embeddings give them, stay sparse as long as all tasks' are: a block then holds what any of them
    touches, however large the vocabulary.

    Args:
        most: how many tasks may arrive.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: list[int] = []
        self._block = torch.zeros(0)
        self._sparse: list[Tensor] = []
        self._indices: Tensor | None = None

    def add(self, task: int, gradient: Tensor) -> None:
        """Take a task's gradient, in the parameter's shape; tasks come in order, each once."""
        self._tasks.append(task)
        if gradient.layout == torch.sparse_coo and len(self._sparse) == len(self._tasks) - 1:
            self._sparse.append(gradient.coalesce())
            return
        for place, before in enumerate(self._sparse):
            self._write(place, before)
        self._sparse = []
        self._write(len(self._tasks) - 1, gradient)

    def extend(self, tasks: Sequence[int], gradients: Tensor) -> None:
        """Take several tasks' dense gradients at once, [tasks, *parameter's shape]."""
        rows, start = real_rows(gradients), len(self._tasks)
        self._tasks += tasks
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
    def rows(self) -> Rows | None:
        """The gradients, complex numbers as pairs; of sparse ones what is touched. None if no task came."""
        if self._sparse:
            self._compact()
        return Rows(tuple(self._tasks), self._block[: len(self._tasks)]) if self._tasks else None

    @property
    def blocks(self) -> list[Rows]:
        """The rows, if there are any."""
        return [] if (rows := self.rows) is None else [rows]

    def full(self, tasks: int, parameter: Tensor) -> Tensor:
        """Return [tasks, P] all tasks' gradients on all numbers of the parameter; 0 where none came."""
        found = real_rows(parameter.detach().new_zeros(tasks, *parameter.shape))
        for task, row in ((task, row) for rows in self.blocks for task, row in zip(*rows, strict=True)):
            (found[task],) = real_rows(self._in_shape(row, parameter).to_dense().unsqueeze(0))
        return found

    def weighted(self, weights: Tensor, parameter: Tensor) -> Tensor:
        """Return Σᵢ wᵢ·gᵢ in the parameter's shape; sparse if all gradients are.

        Args:
            weights: [T].
            parameter: whose gradients these are.
        """
        rows = self.rows
        assert rows is not None
        return self._in_shape(weighted(weights, rows), parameter)

    def _in_shape(self, values: Tensor, parameter: Tensor) -> Tensor:
        """Return one row [P] as a gradient of the parameter."""
        shape = parameter.shape
        if self._indices is not None:
            shape = torch.Size((self._indices.shape[1], *shape[self._indices.shape[0] :]))
        found = as_gradient(values, shape, parameter.dtype)
        if self._indices is None:
            return found
        return torch.sparse_coo_tensor(
            self._indices, found, parameter.shape, is_coalesced=True, check_invariants=False
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


def weighted(weights: Tensor, rows: Rows) -> Tensor:
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
    """Return numbers [P] in a parameter's shape; pairs as complex numbers if its dtype is complex."""
    return torch.view_as_complex(values.view(*shape, 2)) if dtype.is_complex else values.view(shape)


def added(one: Tensor, other: Tensor) -> Tensor:
    """Return one + other, each of which may be sparse."""
    # torch adds what is sparse to what is dense, and not the other way round.
    return other + one if one.is_sparse else one + other
