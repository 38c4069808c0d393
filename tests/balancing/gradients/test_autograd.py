"""Per-task gradients of any torch model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients import AutogradGradients
from tests.balancing.networks import TASKS, Network, network

WEIGHTS = torch.tensor([0.3, 1.0, 1.7], dtype=torch.float64)
ALL = [True, True, True]


def parameters(net: Network, space: Space) -> list[Parameter]:
    return net.shared if space == "all_shared" else list(net.last.parameters())


def weighted_sum(net: Network, weights: Tensor) -> list[Tensor | None]:
    """`.grad` after a plain backward pass through Σ wᵢ·Lᵢ."""
    for parameter in net.parameters:
        parameter.grad = None
    red, green, blue = (weight * loss for weight, loss in zip(weights.tolist(), net.losses(), strict=True))
    (red + green + blue).backward()
    return [parameter.grad for parameter in net.parameters]


def same(one: list[Tensor | None], other: list[Tensor | None]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs
    )


@pytest.mark.parametrize("space", ["last_shared", "all_shared"])
def test_norms_and_gramian_are_those_of_the_rows(space: Space) -> None:
    net = network()
    rows = net.rows(parameters(net, space))
    gradients = net.gradients()
    assert gradients.gramian(space).dtype == gradients.norms(space).dtype == torch.float64
    torch.testing.assert_close(gradients.gramian(space), rows @ rows.T, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(gradients.norms(space), rows.square().sum(1).sqrt(), rtol=1e-6, atol=0)


def test_losses_are_detached_doubles() -> None:
    net = network()
    gradients = net.gradients()
    assert gradients.losses.dtype == torch.float64
    assert not gradients.losses.requires_grad
    assert gradients.losses.tolist() == [loss.item() for loss in net.losses()]


def test_weights_of_whole_losses_give_the_weighted_sum_bit_for_bit() -> None:
    net = network()
    expected = weighted_sum(net, WEIGHTS)
    net.gradients().combine(WEIGHTS, WEIGHTS)
    assert same([parameter.grad for parameter in net.parameters], expected)


def test_looking_at_gradients_changes_nothing_but_the_last_digits() -> None:
    """Not even these where whole losses are weighted."""
    net = network()
    for shared, digits in ((WEIGHTS, 0.0), (WEIGHTS * 2, 1e-6)):
        net.gradients().combine(shared, WEIGHTS)
        expected = net.flat_gradient(net.parameters)
        looking = net.gradients()
        looking.norms("last_shared")
        looking.gramian("all_shared")
        looking.own_norms()
        looking.combine(shared, WEIGHTS)
        torch.testing.assert_close(net.flat_gradient(net.parameters), expected, rtol=0, atol=digits)
        looking.gramian("last_shared")


def test_shared_and_own_parameters_may_follow_different_weights() -> None:
    net = network()
    shared = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    net.gradients().combine(shared, WEIGHTS)
    torch.testing.assert_close(
        net.flat_gradient(net.shared), shared @ net.rows(net.shared), rtol=1e-5, atol=1e-7
    )
    combined = [parameter.grad for group in net.own for parameter in group]
    assert same(combined, weighted_sum(net, WEIGHTS)[len(net.shared) :])


@pytest.mark.parametrize("own", [WEIGHTS, torch.ones(3, dtype=torch.float64)], ids=["equal", "different"])
def test_an_inactive_task_moves_nothing(own: Tensor) -> None:
    net = network()
    active = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    gradients = net.gradients([True, False, True])
    assert gradients.losses[1] == 0
    assert gradients.norms("all_shared")[1] == 0
    gradients.combine(WEIGHTS * active, own * active)
    torch.testing.assert_close(
        net.flat_gradient(net.shared), (WEIGHTS * active) @ net.rows(net.shared), rtol=1e-5, atol=1e-7
    )
    assert all(parameter.grad is None for parameter in net.own[1])
    assert all(parameter.grad is not None for parameter in net.own[0] + net.own[2])


@pytest.mark.parametrize("own", [WEIGHTS, torch.ones(3, dtype=torch.float64)], ids=["equal", "different"])
def test_unused_parameters_count_as_zero_and_get_no_gradient(own: Tensor) -> None:
    net = network()
    unused, partly = Parameter(torch.ones(3)), Parameter(torch.ones(1))
    unused.grad = torch.ones(3)
    losses = net.losses()
    named = dict(zip(TASKS, [losses[0] * partly.sum(), *losses[1:]], strict=True))
    gradients = AutogradGradients(
        TASKS, named, shared=[*net.shared, unused, partly], own=net.own, last_shared=[unused]
    )
    assert gradients.norms("last_shared").tolist() == [0.0, 0.0, 0.0]
    rows = net.rows(net.shared)
    expected = rows @ rows.T
    expected[0, 0] += losses[0].detach().double() ** 2
    torch.testing.assert_close(gradients.gramian("all_shared"), expected, rtol=1e-6, atol=1e-9)
    gradients.combine(WEIGHTS, own)
    assert unused.grad is None
    assert partly.grad is not None
    torch.testing.assert_close(partly.grad.double(), (WEIGHTS[0] * losses[0].detach().double()).reshape(1))


def test_a_missing_loss_is_only_missed_if_its_task_is_active() -> None:
    net = network()
    losses = dict(zip(TASKS, net.losses(), strict=True))
    del losses["green"]

    def make(active: list[bool]) -> AutogradGradients:
        return AutogradGradients(
            TASKS, losses, shared=net.shared, own=net.own, last_shared=[], active=torch.tensor(active)
        )

    assert make([True, False, True]).losses[1] == 0
    with pytest.raises(ValueError, match="losses: no loss for green"):
        make(ALL)


def test_own_parameters_are_given_for_every_task() -> None:
    net = network()
    losses = dict(zip(TASKS, net.losses(), strict=True))
    with pytest.raises(ValueError, match="own: expected parameters for each of 3 tasks, found 2"):
        AutogradGradients(TASKS, losses, shared=net.shared, own=net.own[:2], last_shared=[])


def test_without_own_parameters_there_is_nothing_to_write_there() -> None:
    net = network()
    losses = dict(zip(TASKS, net.losses(), strict=True))
    gradients = AutogradGradients(TASKS, losses, shared=net.parameters, own=[[], [], []], last_shared=[])
    gradients.combine(WEIGHTS * 2, WEIGHTS)
    torch.testing.assert_close(
        net.flat_gradient(net.shared), (WEIGHTS * 2) @ net.rows(net.shared), rtol=1e-5, atol=1e-7
    )


def test_a_step_without_active_tasks_clears_all_gradients() -> None:
    net = network()
    net.gradients().combine(WEIGHTS, WEIGHTS)
    gradients, nothing = net.gradients([False] * 3), torch.zeros(3, dtype=torch.float64)
    assert gradients.gramian("all_shared").tolist() == [[0.0] * 3] * 3
    gradients.combine(nothing, nothing)
    assert all(parameter.grad is None for parameter in net.parameters)


def test_the_jacobian_has_a_row_for_each_task() -> None:
    net = network()
    gradients = net.gradients()
    expected = net.rows(net.shared)
    found = gradients.jacobian("all_shared")
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-9)
    found = gradients.jacobian("last_shared")
    torch.testing.assert_close(found.double(), net.rows(list(net.last.parameters())), rtol=1e-6, atol=1e-9)


def test_what_no_task_uses_is_0_in_the_jacobian() -> None:
    net = network()
    unused = Parameter(torch.ones(3))
    gradients = AutogradGradients(
        TASKS,
        dict(zip(TASKS, net.losses(), strict=True)),
        shared=[unused, *net.shared],
        own=net.own,
        last_shared=[],
        active=torch.tensor([True, False, True]),
    )
    found = gradients.jacobian("all_shared")
    assert found.shape == (3, 3 + sum(parameter.numel() for parameter in net.shared))
    assert found[:, :3].abs().max() == 0
    assert found[1].abs().max() == 0
    assert found[0, 3:].abs().max() > 0


def test_own_norms_are_those_of_each_loss_on_its_tasks_own_parameters() -> None:
    net = network()
    expected = [
        torch.cat([one.flatten() for one in torch.autograd.grad(loss, own)]).double().norm()
        for loss, own in zip(net.losses(), net.own, strict=True)
    ]
    found = net.gradients().own_norms()
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=0)


def test_own_norms_do_not_see_weights_and_change_nothing() -> None:
    net = network()
    blind = net.gradients()
    blind.combine(WEIGHTS, WEIGHTS)
    expected = [parameter.grad for parameter in net.parameters]
    looking = net.gradients()
    before = looking.own_norms()
    looking.combine(WEIGHTS, WEIGHTS)
    assert same([parameter.grad for parameter in net.parameters], expected)
    assert torch.equal(looking.own_norms(), before)


def test_own_norms_of_absent_tasks_and_of_tasks_without_own_parameters_are_not_numbers() -> None:
    net = network()
    assert net.gradients([True, False, True]).own_norms().isnan().tolist() == [False, True, False]
    losses = dict(zip(TASKS, net.losses(), strict=True))
    gradients = AutogradGradients(
        TASKS, losses, shared=net.shared, own=[net.own[0], [], net.own[2]], last_shared=[]
    )
    assert gradients.own_norms().isnan().tolist() == [False, True, False]


def test_own_parameters_that_a_loss_does_not_use_have_no_norm() -> None:
    net = network()
    losses = dict(zip(TASKS, net.losses(), strict=True))
    own = [[Parameter(torch.ones(2))], net.own[1], net.own[2]]
    found = AutogradGradients(TASKS, losses, shared=net.shared, own=own, last_shared=[]).own_norms()
    assert found[0] == 0
    assert found[1] > 0


@pytest.mark.parametrize("place", [0, -1], ids=["shared", "own"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_combined_gradient_that_is_not_finite_is_seen(place: int, value: float) -> None:
    net = network()
    gradients = net.gradients()
    gradients.combine(WEIGHTS, WEIGHTS)
    assert gradients.finite()
    spoiled = net.parameters[place].grad
    assert spoiled is not None
    spoiled.view(-1)[-1] = value
    assert not gradients.finite()


@pytest.mark.parametrize("size", [1e18, 1e30])
def test_a_large_gradient_is_finite(size: float) -> None:
    net = network()
    gradients = net.gradients()
    gradients.combine(WEIGHTS, WEIGHTS)
    for parameter in net.parameters:
        parameter.grad = torch.full_like(parameter, size)
    assert gradients.finite()


def test_without_any_gradient_nothing_is_wrong() -> None:
    gradients, nothing = network().gradients([False] * 3), torch.zeros(3, dtype=torch.float64)
    gradients.combine(nothing, nothing)
    assert gradients.finite()
