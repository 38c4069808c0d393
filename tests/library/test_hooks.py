"""Hooks are called as by `loss.backward()`, and `measure` changes nothing but the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

import mtctl
from tests.library.models import Heads, by_hand, gradients, inputs, mlp

METHODS = ["equal", "uncertainty", "gradnorm", "encodec", "pcgrad", "mgda"]


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("retain", [False, True])
def test_hooks_on_parameters_are_called_once(kind: str, measure: bool, retain: bool) -> None:
    model = mlp()
    called: list[tuple[str, int]] = []
    nodes = []  # what torch's own reducers hook into
    for place, parameter in enumerate(model.parameters()):
        parameter.register_hook(lambda _, place=place: called.append(("before", place)))
        parameter.register_post_accumulate_grad_hook(lambda _, place=place: called.append(("after", place)))
        nodes.append(torch.autograd.graph.get_gradient_edge(parameter).node)
        nodes[-1].register_hook(lambda *_, place=place: called.append(("node", place)))
    balancer = mtctl.Balancer(kind)
    for _ in range(2):
        called.clear()
        mtctl.balance(model.losses(inputs(16, 5)), balancer=balancer, measure=measure, retain_graph=retain)
        once = [(when, place) for when in ("after", "before", "node") for place in range(len(nodes))]
        assert sorted(called) == once


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("measure", [False, True])
def test_a_hook_on_a_shared_parameter_that_losses_read_themselves_is_called_once(
    kind: str, measure: bool
) -> None:
    called: list[Tensor] = []
    shared = inputs(4).requires_grad_()
    shared.register_hook(called.append)
    losses = {"red": shared.square().sum(), "blue": (shared - 1).abs().sum()}
    mtctl.balance(losses, balancer=mtctl.Balancer(kind), measure=measure)
    (once,) = called
    assert shared.grad is not None
    assert torch.equal(once, shared.grad)


def scale(gradient: Tensor) -> Tensor:
    return -2 * gradient


def clip(gradient: Tensor) -> Tensor:
    return gradient.clamp(-0.01, 0.01)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("hook", [scale, clip])
def test_a_hook_acts_once_on_the_balanced_gradient(
    kind: str, measure: bool, hook: Callable[[Tensor], Tensor]
) -> None:
    found = []
    for hooked in (False, True):
        model = mlp()
        parameters = list(model.parameters())
        for parameter in parameters if hooked else ():
            parameter.register_hook(hook)
        report = mtctl.balance(model.losses(inputs(16, 5)), balancer=mtctl.Balancer(kind), measure=measure)
        found.append((report.weights, gradients(parameters)))
        assert all(len(parameter._backward_hooks or ()) == hooked for parameter in parameters)
    (weights, bare), (same, changed) = found
    assert weights == same
    torch.testing.assert_close(changed, [hook(one) for one in bare])


def test_an_optimizer_in_the_backward_pass() -> None:
    """Each parameter's step is made, and its gradient dropped, as soon as that is there."""
    for kind in ("equal", "pcgrad"):
        found = []
        for in_backward in (False, True):
            model, balancer = mlp(), mtctl.Balancer(kind)
            optimizers = {one: torch.optim.SGD([one], lr=0.1, momentum=0.9) for one in model.parameters()}

            def step(parameter: Tensor, optimizers: dict[nn.Parameter, torch.optim.SGD] = optimizers) -> None:
                optimizers[parameter].step()  # type: ignore[index]
                optimizers[parameter].zero_grad()  # type: ignore[index]

            for parameter in model.parameters() if in_backward else ():
                parameter.register_post_accumulate_grad_hook(step)
            for _ in range(3):
                mtctl.balance(model.losses(inputs(16, 5)), balancer=balancer, measure=in_backward)
                for parameter in () if in_backward else model.parameters():
                    step(parameter)
            assert all(one.grad is None for one in model.parameters())
            found.append([one.detach().clone() for one in model.parameters()])
        assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("kind", METHODS)
def test_measuring_changes_nothing_but_the_report(kind: str) -> None:
    """To the last bit, in random state, and in what is kept."""
    found = []
    for measure in (False, True):
        model, balancer = mlp(), mtctl.Balancer(kind)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for _ in range(2):
                features = nn.functional.dropout(model.trunk(inputs(16, 5)), 0.3)
                losses = {task: model.head(task)(features).square().mean() for task in ("red", "blue")}
                mtctl.balance(losses, balancer=balancer, measure=measure)
            with pytest.raises(RuntimeError, match="second time"):
                losses["red"].backward()
            found.append((gradients(list(model.parameters())), torch.get_rng_state()))
    (one, drawn), (other, drawn_too) = found
    assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
    assert torch.equal(drawn, drawn_too)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("nested", [False, True])
def test_hooks_on_what_is_between_act_once_on_each_gradient(kind: str, nested: bool) -> None:
    """On two layers of the trunk and within a head; heads may read both layers."""

    def hooked(model: Heads) -> dict[str, Tensor]:
        low = model.trunk[:2](inputs(16, 5))  # type: ignore[index]
        high = model.trunk[2:](low)  # type: ignore[index]
        low.register_hook(lambda gradient: -3 * gradient)
        high.register_hook(lambda gradient: 2 * gradient)
        red, blue = model.head("red")(low[:, :8] if nested else high), model.head("blue")(high)
        red.register_hook(lambda gradient: 5 * gradient)
        return {"red": red.square().mean(), "blue": (blue - 1).square().mean(), "third": high.exp().mean()}

    model = mlp()
    parameters = list(model.parameters())
    report = mtctl.balance(hooked(model), balancer=mtctl.Balancer(kind), measure=True)
    want = by_hand(hooked(model), report, model.shared, parameters)
    torch.testing.assert_close(gradients(parameters), want, rtol=1e-4, atol=1e-5)


def twice_around(_: nn.Module, gradients: Sequence[Tensor] | Tensor) -> tuple[Tensor]:
    return (-2 * gradients[0],)


def three_times(_: nn.Module, gradients: Sequence[Tensor] | Tensor, __: object) -> tuple[Tensor]:
    return (3 * gradients[0],)


@pytest.mark.parametrize("kind", ["equal", "gradnorm", "pcgrad"])
def test_hooks_on_modules(kind: str) -> None:
    model = mlp()
    model.trunk[2].register_full_backward_pre_hook(twice_around)  # type: ignore[index]
    model.head("red").register_full_backward_hook(three_times)
    parameters = list(model.parameters())
    report = mtctl.balance(model.losses(inputs(16, 5)), balancer=mtctl.Balancer(kind))
    want = by_hand(model.losses(inputs(16, 5)), report, model.shared, parameters)
    torch.testing.assert_close(gradients(parameters), want, rtol=1e-4, atol=1e-5)


class Late(torch.autograd.Function):
    """What it is given; refuses the second pass backwards."""

    passes = 0

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        Late.passes += 1
        if Late.passes == 2:
            raise ValueError("late")
        return gradients[0]


@pytest.mark.parametrize(
    ("kind", "measure"), [("pcgrad", False), ("mgda", False), ("equal", True), ("gradnorm", True)]
)
def test_nothing_is_written_if_a_pass_fails_late(kind: str, measure: bool) -> None:
    model = mlp()
    first, rest = model.trunk[0], model.trunk[1:]  # type: ignore[index]
    features = rest(Late.apply(first(inputs(16, 5))))  # type: ignore[no-untyped-call]
    losses = {task: model.head(task)(features).square().mean() for task in ("red", "blue")}
    called: list[Tensor] = []
    for parameter in model.parameters():
        parameter.register_hook(called.append)
    Late.passes = 0
    with pytest.raises(ValueError, match="late"):
        mtctl.balance(losses, balancer=mtctl.Balancer(kind), measure=measure)
    assert Late.passes == 2
    assert all(parameter.grad is None for parameter in model.parameters())
    assert called == []
    mtctl.balance(model.losses(inputs(16, 5)), balancer=mtctl.Balancer("pcgrad"))
    assert len(called) == len(list(model.parameters()))
