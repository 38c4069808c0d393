"""What a Gramian says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mtctl.balancing.gradients import conflict_rate, cosines, gradient_shares

ALL = [True, True, True]


def gramian(*rows: list[float]) -> Tensor:
    jacobian = torch.tensor(rows, dtype=torch.float64)
    return jacobian @ jacobian.T


def test_cosines() -> None:
    found = cosines(gramian([1, 0], [1, 1], [-3, 0]))
    half = math.sqrt(0.5)
    torch.testing.assert_close(
        found, torch.tensor([[1, half, -1], [half, 1, -half], [-1, -half, 1]], dtype=torch.float64)
    )


@pytest.mark.parametrize("scale", [1e-160, 1e-15, 1e15, 1e150])
def test_cosines_do_not_see_scale(scale: float) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 4))
    products = torch.from_numpy(rows @ rows.T)
    torch.testing.assert_close(cosines(products * scale), cosines(products))
    assert cosines(products * scale).abs().max() <= 1


def test_the_cosine_of_no_gradient_is_not_a_number() -> None:
    found = cosines(gramian([1, 0], [0, 0]))
    assert found[0, 0] == 1
    assert torch.isnan(found[0, 1])
    assert torch.isnan(found[1]).all()


def test_conflict_rate_counts_pairs_of_active_tasks() -> None:
    products = gramian([1, 0], [-1, 0.1], [1, 1])
    active = torch.tensor([ALL, [True, True, False], [True, False, True], [True, False, False]])
    rates = conflict_rate(products.expand(4, 3, 3), active)
    torch.testing.assert_close(rates[:3], torch.tensor([2 / 3, 1.0, 0.0], dtype=torch.float64))
    assert torch.isnan(rates[3])


def test_gradient_shares_are_of_weighted_lengths() -> None:
    products = gramian([3, 4], [0, 1], [0, 0])
    weights = torch.tensor([[1.0, 5.0, 2.0], [-1.0, 1.0, 0.0]], dtype=torch.float64)
    shares = gradient_shares(weights, products.expand(2, 3, 3))
    torch.testing.assert_close(shares, torch.tensor([[0.5, 0.5, 0], [5 / 6, 1 / 6, 0]], dtype=torch.float64))
    assert torch.isnan(gradient_shares(torch.zeros(3, dtype=torch.float64), products)).all()
