"""Parameters of every kind that a model may have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import mtctl
from tests.library.models import by_hand, gradients, inputs, mlp

METHODS = ["equal", "gradnorm", "encodec", "pcgrad", "mgda"]


def leaf(values: Tensor) -> Tensor:
    return values.detach().requires_grad_()


MATRICES: dict[str, Callable[[], Tensor]] = {
    "contiguous": lambda: leaf(inputs(6, 4)),
    "transposed": lambda: leaf(inputs(4, 6).t()),
    "strided": lambda: leaf(inputs(12, 8)[::2, ::2]),
    "expanded": lambda: leaf(inputs(6, 1).expand(6, 4)),
    "a view of all parameters": lambda: leaf(inputs(100)[7:31].view(6, 4)),
    "double": lambda: leaf(inputs(6, 4).double()),
    "float16": lambda: leaf(inputs(6, 4).half()),
    "bfloat16": lambda: leaf(inputs(6, 4).bfloat16()),
}


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("make", MATRICES)
@pytest.mark.parametrize("measure", [False, True])
def test_any_matrix(make: str, kind: str, measure: bool) -> None:
    """Used twice, beside a bias of single precision and a parameter without numbers."""
    matrix, bias, nothing = MATRICES[make](), leaf(inputs(4, seed=2)), leaf(torch.zeros(0, 4))
    heads = [leaf(inputs(4, seed=3)), leaf(inputs(4, seed=4))]
    shared, everything = [matrix, bias, nothing], [matrix, bias, nothing, *heads]

    def losses() -> dict[str, Tensor]:
        low = (inputs(9, 6, seed=5) @ matrix.float() + bias + nothing.sum(0)).tanh()
        high = (low @ matrix.float()[:4] + bias).tanh()
        return {
            "red": (high @ heads[0]).square().mean(),
            "blue": ((high + low) @ heads[1] - 1).square().mean(),
        }

    report = mtctl.balance(losses(), balancer=mtctl.Balancer(kind), measure=measure)
    half = matrix.dtype in (torch.float16, torch.bfloat16)
    want = by_hand(losses(), report, shared, everything)
    for one, expected in zip(everything, want, strict=True):
        assert one.grad is not None
        assert (one.grad.dtype, one.grad.shape) == (one.dtype, one.shape)
        torch.testing.assert_close(
            one.grad, expected, rtol=0.02 if half else 1e-4, atol=0.02 if half else 1e-5
        )
    if measure:
        assert all(norm > 0 for norm in (report.norms or {}).values())


@pytest.mark.parametrize("kind", METHODS)
def test_one_matrix_in_trunk_and_head(kind: str) -> None:
    matrix, head = leaf(inputs(5, 5)), leaf(inputs(5, seed=2))

    def losses() -> dict[str, Tensor]:
        features = (inputs(9, 5, seed=3) @ matrix).tanh()
        return {"red": (features @ matrix.t()).square().mean(), "blue": (features @ head - 1).square().mean()}

    report = mtctl.balance(losses(), balancer=mtctl.Balancer(kind), measure=True)
    want = by_hand(losses(), report, [matrix], [matrix, head])
    torch.testing.assert_close(gradients([matrix, head]), want, rtol=1e-4, atol=1e-5)
    plain = losses().values()
    rows = [torch.autograd.grad(loss, matrix, retain_graph=True)[0].flatten().double() for loss in plain]
    assert report.gramian is not None
    torch.testing.assert_close(report.gramian, torch.stack(rows) @ torch.stack(rows).T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", METHODS)
def test_losses_of_other_precision(kind: str) -> None:
    model = mlp()
    parameters = list(model.parameters())

    def losses() -> dict[str, Tensor]:
        red, blue = model.losses(inputs(16, 5)).values()
        return {"red": red.double() * 3, "blue": blue}

    report = mtctl.balance(losses(), balancer=mtctl.Balancer(kind))
    want = by_hand(losses(), report, model.shared, parameters)
    torch.testing.assert_close(gradients(parameters), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", METHODS)
def test_gradients_are_off(kind: str) -> None:
    """As `loss.backward()` works there."""
    model = mlp()
    losses = model.losses(inputs(16, 5))
    with torch.no_grad():
        report = mtctl.balance(losses, balancer=mtctl.Balancer(kind))
    want = by_hand(model.losses(inputs(16, 5)), report, model.shared, list(model.parameters()))
    torch.testing.assert_close(gradients(list(model.parameters())), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", METHODS)
def test_tasks_with_inputs_of_their_own(kind: str) -> None:
    """Their graphs meet at the parameters alone."""
    model = mlp()
    parameters = list(model.parameters())

    def losses() -> dict[str, Tensor]:
        return {
            task: model.losses(inputs(16, 5, seed=seed))[task] for task, seed in (("red", 1), ("blue", 2))
        }

    report = mtctl.balance(losses(), balancer=mtctl.Balancer(kind), measure=True)
    want = by_hand(losses(), report, model.shared, parameters)
    torch.testing.assert_close(gradients(parameters), want, rtol=1e-4, atol=1e-5)


def test_what_is_computed_from_parameters_is_no_parameter() -> None:
    model = mlp()
    part = model.shared[0][:3]
    with pytest.raises(mtctl.BalanceError, match=r"shared: expected parameters, got a tensor \(3×5\)"):
        mtctl.balance(model.losses(inputs(16, 5)), [part], mtctl.Balancer("pcgrad"))


def test_parameters_of_another_model_are_refused() -> None:
    model, other = mlp(), mlp()
    with pytest.raises(mtctl.BalanceError, match="no loss depends on any of the 4 parameters given"):
        mtctl.balance(model.losses(inputs(16, 5)), other.shared, mtctl.Balancer("pcgrad"))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("measure", [False, True])
def test_within_autocast_as_outside(kind: str, measure: bool) -> None:
    found = []
    for within in (False, True):
        model = mlp()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = model.losses(inputs(16, 5))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=within):
            report = mtctl.balance(losses, balancer=mtctl.Balancer(kind), measure=measure)
        found.append((report.weights, report.norms, gradients(list(model.parameters()))))
    assert found[0][:2] == found[1][:2]
    assert all(torch.equal(one, other) for one, other in zip(found[0][2], found[1][2], strict=True))


def test_within_inference_mode_it_is_refused() -> None:
    model = mlp()
    losses = model.losses(inputs(16, 5))
    for kind in ("equal", "pcgrad"):
        with torch.inference_mode(), pytest.raises(mtctl.BalanceError, match="inference_mode"):
            mtctl.balance(losses, balancer=mtctl.Balancer(kind))
    assert all(parameter.grad is None for parameter in model.parameters())
