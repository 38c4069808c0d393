"""Inner products of per-task gradients: added up in the gradients' precision, handed on in double.

A product of two float32 gradients is off by at most 2e-6 of the product of their lengths, however different
these are: scaling a row scales its error. Only squares near the ends of float32's range are lost, so they,
and nothing else, are worked out again in double precision, which takes four times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mtctl.balancing.contract import Array

SMALLEST: Final = 1e-24
"""Of squared lengths in float32; below, parts of the sum have left its range (1e-38)."""
LARGEST: Final = 1e32
_COLUMNS: Final = 2**16
"""How many numbers are added up in float32: errors grow with the length of a sum, with 1e6 numbers to 6e-5 of
the product of two lengths; in parts of this size they stay below 2e-6, at the same speed."""
_FEW_ROWS: Final = 8
"""Height of a part of a symmetric product up to 16 tasks, twice that beyond: saves 10 to 20 % of the time
with 10 to 80 tasks and 1e5 numbers; lower parts are too flat for the processor."""


class Rows(NamedTuple):
    """Some tasks' gradients on some parameters.

    Complex numbers stand as pairs (see `real_rows`), so that products of rows are the Re⟨g, h⟩ that a step
    along one gradient changes the other loss by.

    Args:
        tasks: which tasks, in order; the others' gradients are 0 there.
        values: [len(tasks), P] real numbers.
    """

    tasks: tuple[int, ...]
    values: Tensor


def real_rows(values: Tensor) -> Tensor:
    """Return values [n, …] as rows [n, P] of real numbers; a complex number is the pair of its parts."""
    real = torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
    return real.flatten(1) if real.dim() > 1 else real.unsqueeze(1)


def gramian(blocks: Sequence[Rows], tasks: int) -> Tensor:
    """Return [T, T] float64 inner products of the gradients that the blocks make up side by side."""
    total = _sum_of_products(blocks, tasks)
    if not _exact(blocks, total.diagonal()):
        total = _sum_of_products(blocks, tasks, exactly=True)
    return torch.from_numpy(total)


def norms(blocks: Sequence[Rows], tasks: int) -> Tensor:
    """Return [T] float64 lengths of these gradients."""
    squares = _sum_of_squares(blocks, tasks)
    if not _exact(blocks, squares):
        squares = _sum_of_squares(blocks, tasks, exactly=True)
    return torch.from_numpy(np.sqrt(squares))


def _sum_of_products(blocks: Sequence[Rows], tasks: int, *, exactly: bool = False) -> Array:
    # A handful of numbers: NumPy's calls cost a quarter of torch's.
    total = np.zeros((tasks, tasks))
    for present, block in blocks:
        for part in _parts(block, exactly):
            products = _symmetric_product(part).cpu().numpy()
            if len(present) == tasks:
                total += products
            else:
                total[np.ix_(present, present)] += products
    return (total + total.T) / 2


def _parts(values: Tensor, exactly: bool) -> Iterator[Tensor]:
    """Yield values [T, P] in parts that may be added up in their own precision, or as doubles."""
    # Cast one by one: all of them at once would take the memory of another Jacobian or two.
    for part in values.chunk(max(1, -(-values.shape[1] // _COLUMNS)), dim=1):
        yield part.double() if exactly else at_least_float32(part)


def _symmetric_product(rows: Tensor) -> Tensor:
    """Return [T, T] rows·rowsᵀ: some rows at a time with themselves and those before, then mirrored."""
    tasks = rows.shape[0]
    height = _FEW_ROWS if tasks <= 2 * _FEW_ROWS else 2 * _FEW_ROWS
    if tasks <= height:
        return torch.mm(rows, rows.t())
    product = rows.new_empty(tasks, tasks)
    for start in range(0, tasks, height):
        end = min(start + height, tasks)
        part = torch.mm(rows[start:end], rows[:end].t())
        product[start:end, :end] = part
        product[:start, start:end] = part[:, :start].t()
    return product


def _sum_of_squares(blocks: Sequence[Rows], tasks: int, *, exactly: bool = False) -> Array:
    squares = np.zeros(tasks)
    for present, block in blocks:
        for part in _parts(block, exactly):
            lengths = torch.linalg.vector_norm(part, dim=1).cpu().numpy()
            squares[list(present)] += lengths.astype(np.float64) ** 2
    return squares


def at_least_float32(values: Tensor) -> Tensor:
    """Return values of half precision as float32 (complex64), in which sums keep their digits."""
    least = torch.complex64 if values.is_complex() else torch.float32
    return values.to(torch.promote_types(values.dtype, least))


def _exact(blocks: Sequence[Rows], squares: Array) -> bool:
    """Say whether no square left float32's range; those of gradients that are 0 did not."""
    lost = [not SMALLEST < square < LARGEST for square in squares.tolist()]
    if not any(lost) or all(block.values.dtype == torch.float64 for block in blocks):
        return True
    return not any(
        lost[task] and bool(values.any())
        for block in blocks
        for task, values in zip(block.tasks, block.values, strict=True)
    )
