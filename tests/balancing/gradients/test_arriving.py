"""Factors say what the gradients that they are a product of say."""

from __future__ import annotations

import pytest
import torch

from mtctl.balancing.gradients.arriving import Factored
from mtctl.balancing.gradients.gathered import Gathered

TASKS = 5
"""Of which three read the feature."""


@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 1, 3), (40, 30, 50)])
def test_factors_are_their_product(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    deltas, matrices = torch.randn(7, sum(widths)), torch.randn(4, sum(widths))
    factored = Factored((0, 2, 3), widths, deltas, matrices)
    pairs = zip(deltas.split(widths, 1), matrices.split(widths, 1), strict=True)
    stacked = Gathered.stacked((0, 2, 3), torch.stack([delta @ matrix.t() for delta, matrix in pairs]))
    weights = torch.tensor([0.5, 9.0, -1.0, 2.0, 9.0], dtype=torch.float64)
    assert factored.size == stacked.size == 28
    for tasks in ([0, 2, 3], [3], [1, 2], list(range(TASKS))):
        torch.testing.assert_close(factored.rows(tasks), stacked.rows(tasks))
    torch.testing.assert_close(factored.weighted(weights), stacked.weighted(weights))
    torch.testing.assert_close(factored.gramian(TASKS), stacked.gramian(TASKS), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(factored.norms(TASKS), stacked.norms(TASKS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15])
def test_products_of_factors_keep_their_digits_at_any_scale(scale: float) -> None:
    torch.manual_seed(0)
    deltas, matrices = torch.randn(7, 2) * scale, torch.randn(4, 2)
    found = Factored((0, 1), (1, 1), deltas, matrices).gramian(2)
    rows = torch.einsum("no,io->oni", deltas.double(), matrices.double()).flatten(1)
    torch.testing.assert_close(found, rows @ rows.t(), rtol=1e-12, atol=0)


def test_nothing_arrives_where_nobody_reads() -> None:
    nothing = Gathered(0)
    assert nothing.size == 0
    assert nothing.norms(2).tolist() == [0.0, 0.0]
    assert nothing.gramian(2).tolist() == [[0.0, 0.0], [0.0, 0.0]]
