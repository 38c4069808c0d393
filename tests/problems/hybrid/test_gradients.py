"""The policy's backward pass beside autograd's, head by head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients.autograd import AutogradGradients
from mtctl.problems.hybrid.gradients import HeadGradients
from mtctl.problems.hybrid.policy import HybridPolicy, Pass
from mtctl.problems.hybrid.surrogate import OutputLoss

ROWS = 12
OUTPUTS = {"discrete": 5, "continuous": 4}


def policy(activation: Any, hidden: tuple[int, ...]) -> HybridPolicy:
    return HybridPolicy(6, OUTPUTS, hidden, activation, torch.Generator().manual_seed(0))


def losses(outputs: dict[str, Tensor], values: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Some losses, each of one head's outputs alone."""
    found = {
        "discrete": -outputs["discrete"].log_softmax(1)[:, 2].mean(),
        "continuous": (outputs["continuous"] - 1.0).square().mean(),
    }
    return found, 0.5 * (values - 2.0).square().mean()


def sloped(made: Pass) -> tuple[dict[str, OutputLoss], OutputLoss]:
    """The same with their slopes."""
    outputs = {name: part.detach().requires_grad_() for name, part in made.outputs.items()}
    values = made.values.detach().requires_grad_()
    found, critic = losses(outputs, values)
    ends = {name: torch.autograd.grad(loss, outputs[name])[0] for name, loss in found.items()}
    by_value = torch.autograd.grad(critic, values)[0].unsqueeze(1)
    by_head = {name: OutputLoss(loss.detach(), ends[name]) for name, loss in found.items()}
    return by_head, OutputLoss(critic.detach(), by_value)


def pair(activation: Any, hidden: tuple[int, ...]) -> tuple[HybridPolicy, HeadGradients, AutogradGradients]:
    network = policy(activation, hidden)
    rows = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(1))
    made = network.learn(rows)
    own = HeadGradients(network, made, *sloped(made))
    features = network.trunk(rows)
    outputs = {name: head(features) for name, head in network.heads.items()}
    found, critic = losses(outputs, network.value(features).squeeze(1))
    peer = AutogradGradients(
        tuple(OUTPUTS),
        found,
        shared=list(network.trunk.parameters()),
        own=[list(network.heads[name].parameters()) for name in OUTPUTS],
        last_shared=list(network.trunk[-2].parameters()),
        features=[features],
        auxiliary=critic,
        auxiliary_own=list(network.value.parameters()),
    )
    return network, own, peer


@pytest.mark.parametrize("asked", [(), ("all_shared",), ("features", "last_shared")], ids=str)
@pytest.mark.parametrize("hidden", [(8, 7), (9,)], ids=str)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradients_are_autograds(activation: str, hidden: tuple[int, ...], asked: tuple[Space, ...]) -> None:
    network, own, peer = pair(activation, hidden)
    torch.testing.assert_close(own.losses, peer.losses)
    assert own.auxiliary is not None
    for space in asked:
        torch.testing.assert_close(own.gramian(space), peer.gramian(space), rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(own.norms(space), peer.norms(space), rtol=1e-4, atol=1e-9)
    shared = torch.tensor([0.7, 0.2], dtype=torch.float64)
    weights = torch.tensor([2.0, 0.5], dtype=torch.float64)
    peer.combine(shared, weights)
    expected = [one.grad.clone() for one in network.parameters() if one.grad is not None]
    torch.testing.assert_close(own.own_norms(), peer.own_norms(), rtol=1e-4, atol=1e-9)
    own.combine(shared, weights)
    found = [one.grad for one in network.parameters()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    assert own.finite()


def test_what_is_not_finite_is_seen() -> None:
    network, own, _ = pair("tanh", (8,))
    ones = torch.ones(2, dtype=torch.float64)
    own.combine(ones, ones)
    next(iter(network.parameters())).grad[0, 0] = float("nan")  # type: ignore[index]
    assert not own.finite()


def test_initial_values_follow_the_generator_and_leave_others_alone() -> None:
    before = torch.get_rng_state()
    one, same = policy("tanh", (8, 7)), policy("tanh", (8, 7))
    assert torch.equal(torch.get_rng_state(), before)
    for left, right in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(left, right)
    first = next(iter(one.trunk))
    assert isinstance(first, nn.Linear)
    weight = first.weight
    torch.testing.assert_close(weight.t() @ weight, (5 / 3) ** 2 * torch.eye(6), rtol=1e-4, atol=1e-5)
    assert not first.bias.any()
