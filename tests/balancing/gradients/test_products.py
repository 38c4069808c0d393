"""Float32 products against double precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtctl.balancing.gradients.products import Rows, gramian, norms


def rows(tasks: int, size: int, exponents: list[float]) -> Tensor:
    values = torch.randn(tasks, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (values * 10 ** torch.tensor(exponents, dtype=torch.float64)[:, None]).float()


def block(values: Tensor) -> Rows:
    return Rows(tuple(range(len(values))), values)


def compare(values: Tensor) -> None:
    """Within 2e-6 of the product of the two lengths, and symmetric."""
    exact = values.double() @ values.double().T
    lengths = exact.diagonal().sqrt()
    found = gramian([block(values)], len(values))
    scale = lengths[:, None] * lengths
    assert torch.equal(found, found.T)
    assert ((found - exact).abs() <= 2e-6 * scale).all()
    assert ((norms([block(values)], len(values)) - lengths).abs() <= 2e-6 * lengths).all()


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=40))
def test_any_lengths(exponents: list[float]) -> None:
    compare(rows(len(exponents), 50, exponents))


@pytest.mark.parametrize("tasks", [4, 10, 17, 40])
def test_lengths_that_differ_by_1e8(tasks: int) -> None:
    compare(rows(tasks, 20_000, torch.linspace(-4, 4, tasks).tolist()))


def test_long_gradients() -> None:
    compare(rows(4, 1_000_000, [0.0, 1.0, 2.0, 3.0]))


def test_a_gradient_that_is_zero_does_not_change_the_others() -> None:
    values = rows(3, 100, [0.0, 0.0, 0.0])
    alone = gramian([block(values[:2])], 2)
    values[2] = 0
    assert torch.equal(gramian([block(values)], 3)[:2, :2], alone)


def test_tasks_without_a_row_are_zero() -> None:
    values = rows(2, 5, [0.0, 0.0])
    found = gramian([Rows((0, 2), values), Rows((2,), values[1:])], 3)
    assert found[1].tolist() == found[:, 1].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(found[2, 2], 2 * values[1].double().square().sum(), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        found.diagonal().sqrt(), norms([Rows((0, 2), values), Rows((2,), values[1:])], 3)
    )


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    values = rows(3, 5, [0.0, 0.0, 0.0])
    values[1, 2] = bad
    found = gramian([block(values)], 3)
    assert not found[1, 1].isfinite()
    assert found[0, 0].isfinite()
    assert not norms([block(values)], 3)[1].isfinite()


def test_half_precision_is_added_up_in_single() -> None:
    values = torch.ones(2, 5000, dtype=torch.bfloat16)
    assert gramian([block(values)], 2)[0, 1] == 5000
