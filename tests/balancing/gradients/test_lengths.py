"""Lengths of gradients that are not computed, against the gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mtctl.balancing.gradients.lengths import short_layer, slopes, squared_lengths
from tests.balancing.gradients.models import Case, mlp, used_twice, wide, wide_activated, wide_mixed


@pytest.mark.parametrize(
    ("make", "how"),
    [
        (wide, "batched, 3 tasks at a time, to the output of a linear layer"),
        (wide_activated, "one pass for all tasks, through an activation to the output of a linear layer"),
        (wide_mixed, "batched, 3 tasks at a time, to the output of a linear layer"),
        (mlp, "batched, 3 tasks at a time"),
    ],
)
def test_short_layers_are_measured_by_products_of_rows(make: Callable[[], Case], how: str) -> None:
    torch.manual_seed(0)
    case = make()
    gradients = case.gradients()
    expected = case.rows(case.shared[-2:]).norm(dim=1)
    torch.testing.assert_close(gradients.norms("last_shared"), expected, rtol=1e-5, atol=0)
    assert gradients.how == how


def _layer(rows: int, width: int, *, bias: bool = True) -> tuple[nn.Linear, Tensor]:
    layer = nn.Linear(width, 3, bias=bias)
    return layer, layer(torch.randn(rows, width))


@pytest.mark.parametrize("bias", [True, False])
def test_which_layers_are_short(bias: bool) -> None:
    layer, output = _layer(4, 9, bias=bias)
    assert short_layer([output], list(layer.parameters())) is not None
    assert short_layer([output], []) is None
    long, output = _layer(9, 9, bias=bias)
    assert short_layer([output], list(long.parameters())) is None


def test_layers_that_are_used_twice_or_in_part_are_left_to_their_gradients() -> None:
    torch.manual_seed(0)
    case = used_twice()
    assert short_layer(case.make().features, case.shared[-2:]) is None
    layer, output = _layer(4, 9)
    assert short_layer([output], [layer.bias]) is None
    other = nn.Linear(9, 3)
    assert short_layer([output], [layer.weight, other.bias]) is None


def test_slopes_are_those_of_an_activation_alone() -> None:
    layer, output = _layer(4, 9)
    found = short_layer([output.tanh()], list(layer.parameters()))
    assert found is not None
    expected = 1 - output.tanh().square()
    top = output.tanh()
    layer_of_top = short_layer([top], list(layer.parameters()))
    assert layer_of_top is not None
    answer = slopes(top, layer_of_top)
    assert answer is not None
    torch.testing.assert_close(answer, expected)
    for mixed in (output, output.softmax(1), output.relu().tanh()):
        found = short_layer([mixed], list(layer.parameters()))
        assert found is not None
        assert slopes(mixed, found) is None


def test_rows_that_cancel_are_not_measured() -> None:
    layer, output = _layer(4, 9)
    found = short_layer([output], list(layer.parameters()))
    assert found is not None
    assert found.inputs is not None
    found.inputs[1:] = found.inputs[0]
    deltas = torch.randn(2, 4, 3)
    assert squared_lengths(found, deltas) is not None
    deltas[1, 3] = -deltas[1, :3].sum(0)
    assert squared_lengths(found, deltas) is None


@pytest.mark.parametrize("scale", [0.0, 1e-25, 1e25, float("nan")])
def test_what_float32_cannot_square_is_not_measured(scale: float) -> None:
    layer, output = _layer(4, 9)
    found = short_layer([output], list(layer.parameters()))
    assert found is not None
    deltas = torch.randn(2, 4, 3)
    deltas[1] *= scale
    assert squared_lengths(found, deltas) is None
