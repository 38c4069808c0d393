"""Complex parameters and features: inner products are Re⟨g, h⟩, and `.grad` is what autograd gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import mtctl
from mtctl.balancing.registry import KINDS
from tests.library.models import by_hand, gradients
from tests.library.test_balance import SETTINGS

TASKS = ("red", "blue")
LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("encodec", {"layer": "features", "momentum": 0.0}),
    ("pcgrad", {"layer": "features"}),
    ("gradnorm", {"layer": "features"}),
    ("pcgrad", {"layer": "last_shared"}),
]


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.complex64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype) / 2


class Linear:
    """y = x·Wᵀ + b with complex W and b, or with their real and imaginary parts as parameters."""

    def __init__(self, inputs: int, outputs: int, seed: int, *, apart: bool) -> None:
        made = (drawn(outputs, inputs, seed=seed), drawn(outputs, seed=seed + 1))
        self.parameters = [
            nn.Parameter(torch.view_as_real(one).clone() if apart else one.clone()) for one in made
        ]

    def __call__(self, values: Tensor) -> Tensor:
        weight, bias = (one if one.is_complex() else torch.view_as_complex(one) for one in self.parameters)
        return nn.functional.linear(values, weight, bias)


class Net:
    """A complex trunk and a complex head for each task; `tall` heads do not begin with a linear layer."""

    def __init__(self, *, apart: bool = False, tall: bool = False) -> None:
        self.layers = [Linear(4, 6, 0, apart=apart), Linear(6, 5, 2, apart=apart)]
        self.heads = [Linear(5, 2, 4, apart=apart), Linear(5, 1, 6, apart=apart)]
        self.tall = tall
        self.shared = [one for layer in self.layers for one in layer.parameters]
        self.parameters = [*self.shared, *(one for head in self.heads for one in head.parameters)]

    def losses(self) -> dict[str, Tensor]:
        first, second = self.layers
        features = second(first(drawn(9, 4, seed=8)).tanh())
        features = features * features.conj() + 1j * features if self.tall else features
        read = [features.sin() if self.tall else features] * 2
        answers = [head(one) for head, one in zip(self.heads, read, strict=True)]
        return {
            "red": (answers[0] - 1).abs().square().mean(),
            "blue": 3 * (answers[1] + 2j).abs().square().mean(),
        }


def as_real(values: Tensor) -> Tensor:
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize(
    ("kind", "own"), [*((kind, SETTINGS.get(kind, {})) for kind in KINDS), *LAYERS], ids=str
)
def test_the_same_model_with_real_and_imaginary_parts_apart(
    kind: str, own: dict[str, Any], measure: bool, tall: bool
) -> None:
    found = []
    for apart in (False, True):
        net = Net(apart=apart, tall=tall)
        report = mtctl.balance(net.losses(), balancer=mtctl.Balancer(kind, **own), measure=measure)
        want = by_hand(net.losses(), report, net.shared, net.parameters)
        torch.testing.assert_close(gradients(net.parameters), want, rtol=1e-4, atol=1e-5)
        found.append((report, [as_real(one) for one in gradients(net.parameters)]))
    (whole, one), (parts, other) = found
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert whole.weights == pytest.approx(parts.weights, rel=1e-3)
    assert (whole.gramian is None) == (parts.gramian is None)
    if whole.gramian is not None and parts.gramian is not None:
        assert not whole.gramian.is_complex()
        torch.testing.assert_close(whole.gramian, parts.gramian, rtol=1e-4, atol=1e-5)


@given(seed=st.integers(0, 1000), width=st.integers(1, 4), real=st.booleans())
@settings(max_examples=20, deadline=None)
def test_products_are_those_of_autograd(seed: int, width: int, real: bool) -> None:
    """A real parameter may stand beside complex ones."""
    one = drawn(width, 3, seed=seed).requires_grad_()
    other = drawn(3, seed=seed + 1, dtype=torch.float32 if real else torch.complex64).requires_grad_()
    leaves = [one, other]

    def losses() -> dict[str, Tensor]:
        made = (one * other).sum(1)
        return {"red": made.abs().square().sum(), "blue": (made * made + 1j).real.sum()}

    rows = []
    for loss in losses().values():
        parts = [as_real(part).flatten() for part in torch.autograd.grad(loss, leaves, retain_graph=True)]
        rows.append(torch.cat(parts).double())
    report = mtctl.balance(losses(), measure=True)
    assert report.gramian is not None
    want = torch.stack(rows) @ torch.stack(rows).T
    torch.testing.assert_close(report.gramian, want, rtol=1e-4, atol=1e-5)


def test_a_complex_loss_is_refused() -> None:
    net = Net()
    losses = {**net.losses(), "blue": net.losses()["blue"] * 1j}
    with pytest.raises(mtctl.BalanceError, match="task `blue`: expected a real loss, got a complex number"):
        mtctl.balance(losses)
    assert all(one.grad is None for one in net.parameters)
