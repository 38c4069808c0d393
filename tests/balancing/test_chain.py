"""Chains compose exactly, compute what is needed and keep their states apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtctl.balancing.adaptive_scaling import AdaptiveScaling
from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.chain import Chain, ChainState, learned_parameters
from mtctl.balancing.contract import Method
from mtctl.balancing.db_mtl import LongestNorm
from mtctl.balancing.encodec import Encodec
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.running_mean import RunningMean
from mtctl.balancing.uncertainty import Uncertainty
from tests.balancing.cases import (
    METHODS,
    STRUCTURED,
    assert_goes_on,
    by_task,
    drawn,
    given,
    gradnorm_from,
    names,
    seeded,
)
from tests.balancing.networks import network

KNOWN = (0.5, 1.0, 2.0)


def weights(
    method: Method, gradients: object, state: ChainState | None = None, seed: int = 0
) -> torch.Tensor:
    chain = Chain((method,))
    decision, _ = chain.balance(gradients, chain.init(names(3)) if state is None else state, seeded(seed))  # type: ignore[arg-type]
    return decision.shared


def test_gradnorm_then_pcgrad_is_pcgrad_on_the_weighted_losses() -> None:
    chain = Chain((gradnorm_from(KNOWN, lr=0.3), PCGrad()))
    state = chain.init(names(3))
    for step in range(6):
        net = network(step)
        gradnorm_state = {name: value for name, value in state.items() if name.startswith("0.")}
        first = weights(gradnorm_from(KNOWN, lr=0.3), net.gradients(), gradnorm_state)
        decision, state = chain.balance(net.gradients(), state, seeded(step))
        # PCGrad on the gradients that autograd gives of the weighted losses, in the same order.
        rows = net.rows(net.shared, first)
        second = weights(PCGrad(), given(rows.numpy()), seed=step)
        torch.testing.assert_close(
            decision.shared @ net.rows(net.shared), second @ rows, rtol=1e-5, atol=1e-6
        )
        torch.testing.assert_close(decision.own, first)
    assert not torch.equal(first, torch.ones(3, dtype=torch.float64))
    assert not torch.equal(decision.shared, decision.own)


def test_a_later_method_sees_weighted_losses_and_norms() -> None:
    jacobian, losses = drawn(3, 4), [1.0, 2.0, 3.0]
    scales = (2.0, 0.5, 3.0)
    chain = Chain((Manual(weights=by_task(scales)), Uncertainty(lr=0.1), gradnorm_from(KNOWN, lr=0.1)))
    _, state = chain.balance(given(jacobian, losses), chain.init(names(3)), seeded())

    halved = [scale * loss for scale, loss in zip(scales, losses, strict=True)]
    alone = Chain((Uncertainty(lr=0.1),))
    _, expected = alone.balance(given(jacobian, halved), alone.init(names(3)), seeded())
    assert torch.equal(state["1.log_variances"], expected["0.log_variances"])

    total = torch.tensor(scales, dtype=torch.float64) / 2
    scaled = given(jacobian * total.unsqueeze(1).numpy(), (total * torch.tensor(losses)).tolist())
    alone = Chain((gradnorm_from(KNOWN, lr=0.1),))
    _, expected = alone.balance(scaled, alone.init(names(3)), seeded())
    torch.testing.assert_close(state["2.adam_mean"], expected["0.adam_mean"])


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())
def test_a_chain_of_one_is_its_method(make) -> None:  # type: ignore[no-untyped-def]
    method, jacobian = make(range(3)), STRUCTURED["free"]
    decision, _ = Chain((method,)).balance(given(jacobian), Chain((method,)).init(names(3)), seeded())
    first, _ = Chain((Equal(), method)).balance(
        given(jacobian), Chain((Equal(), method)).init(names(3)), seeded()
    )
    torch.testing.assert_close(first.shared, decision.shared, rtol=1e-15, atol=0)
    torch.testing.assert_close(first.own, decision.own, rtol=1e-15, atol=0)


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())
def test_a_method_sees_what_the_problem_itself_weighs(make) -> None:  # type: ignore[no-untyped-def]
    """With importance a, a chain decides what it decides of losses a ∘ L and gradients diag(a)·J."""
    chain, importance = Chain((make(range(3)),)), (0.875, 0.109375, 0.015625)
    plain = scaled = chain.init(names(3))
    for step in range(4):
        jacobian, losses = drawn(3, 5, step), [1.0 + step, 2.0, 3.0]
        weighed = given(jacobian, losses, importance=importance)
        factor = np.array(importance)
        alike = given(jacobian * factor[:, None], (factor * losses).tolist())
        decision, plain = chain.balance(weighed, plain, seeded(step))
        expected, scaled = chain.balance(alike, scaled, seeded(step))
        torch.testing.assert_close(decision.shared, expected.shared, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(decision.own, expected.own, rtol=1e-7, atol=1e-9)
        if decision.wants_outcome:
            after = torch.tensor(losses, dtype=torch.float64) / 2
            plain = chain.follow(weighed, after, decision, plain)
            scaled = chain.follow(alike, torch.from_numpy(factor) * after, expected, scaled)
        assert plain.keys() == scaled.keys()
        for name, value in plain.items():
            torch.testing.assert_close(value, scaled[name], rtol=1e-7, atol=1e-9)


def test_weights_used_again_are_weights_of_what_the_problem_weighs_now() -> None:
    chain = Chain((PCGrad(every=2),))
    jacobian, state, found = np.array([[1.0, 0.0], [-1.0, 1.0]]), chain.init(names(2)), []
    for importance in ((0.5, 0.5), (0.25, 0.75), (0.25, 0.75)):
        decision, state = chain.balance(given(jacobian, importance=importance), state, seeded())
        found.append(decision.shared)
    asked, again, anew = found
    assert torch.equal(again, asked)
    assert not torch.allclose(anew, asked)
    rows = torch.from_numpy(jacobian) * torch.tensor([[0.25], [0.75]], dtype=torch.float64)
    assert (rows @ (anew @ rows) >= -1e-12).all()


@pytest.mark.parametrize(
    "method",
    [
        Equal(),
        Manual(weights=by_task(KNOWN)),
        Uncertainty(),
        GradNorm(),
        RunningMean(),
        PCGrad(),
        CAGrad(),
        Encodec(),
        LongestNorm(),
        Encodec(every=2),
    ],
    ids=repr,
)
def test_own_parameters_follow_the_weights_of_losses_alone(method: Method) -> None:
    chain = Chain((Manual(weights=by_task(KNOWN)), method))
    decision, _ = chain.balance(given(STRUCTURED["free"]), chain.init(names(3)), seeded())
    before = torch.tensor(KNOWN, dtype=torch.float64)
    if isinstance(method, PCGrad | CAGrad | Encodec | LongestNorm):
        assert torch.equal(decision.own, before)
        assert not torch.equal(decision.shared, before)
    else:
        assert torch.equal(decision.own, decision.shared)


@pytest.mark.parametrize(
    ("methods", "asked"),
    [
        ((Equal(),), []),
        ((Manual(weights=by_task(KNOWN)), Uncertainty()), []),
        ((GradNorm(),), ["norms of last_shared"]),
        ((GradNorm(layer="all_shared"),), ["norms of all_shared"]),
        ((RunningMean(), Encodec(), AdaptiveScaling()), ["norms of last_shared", "norms of all_shared"]),
        ((PCGrad(),), ["gramian of all_shared"]),
        ((Equal(), CAGrad()), ["gramian of all_shared"]),
        ((GradNorm(), PCGrad()), ["norms of last_shared", "gramian of all_shared"]),
    ],
    ids=str,
)
def test_only_what_is_needed_is_computed(methods: tuple[Method, ...], asked: list[str]) -> None:
    chain, gradients = Chain(methods), given(drawn(3, 4))
    chain.balance(gradients, chain.init(names(3)), seeded())
    assert gradients.asked == asked


def test_states_of_equal_methods_stay_apart() -> None:
    chain = Chain((Uncertainty(lr=0.1), Uncertainty(lr=0.2)))
    state = chain.init(names(3))
    assert set(state) == {
        f"{place}.{name}"
        for place in (0, 1)
        for name in ("log_variances", "adam_mean", "adam_square", "adam_moves")
    }
    _, state = chain.balance(given(drawn(3, 4), [3.0, 3.0, 3.0]), state, seeded())
    torch.testing.assert_close(state["0.log_variances"], torch.full((3,), 0.1, dtype=torch.float64))
    torch.testing.assert_close(state["1.log_variances"], torch.full((3,), 0.2, dtype=torch.float64))


def test_the_eleventh_method_is_not_taken_for_the_first() -> None:
    chain = Chain((*[Equal()] * 10, Uncertainty(lr=0.1)))
    _, state = chain.balance(given(drawn(3, 4)), chain.init(names(3)), seeded())
    assert all(name.startswith("10.") for name in state)


def test_a_saved_state_goes_on_exactly_where_it_was() -> None:
    assert_goes_on(Chain((GradNorm(initial_window=2, lr=0.1), Uncertainty(), PCGrad())))


def test_the_state_that_came_in_is_not_changed() -> None:
    chain = Chain((GradNorm(initial_window=1), Uncertainty()))
    state = chain.init(names(3))
    for seed in range(3):
        before = {name: value.clone() for name, value in state.items()}
        _, after = chain.balance(given(drawn(3, 4, seed), [1.0, 2.0, 3.0]), state, seeded())
        assert all(torch.equal(value, before[name]) for name, value in state.items())
        state = after


@pytest.mark.parametrize("method", [gradnorm_from(KNOWN), GradNorm(initial_window=5), Uncertainty()])
def test_a_state_does_not_hold_on_to_the_one_before(method: Method) -> None:
    """Sharing memory would keep every state of a run alive, one behind the other."""
    chain, gradients = Chain((method,)), given(drawn(3, 4), [1.0, 2.0, 3.0])
    state = chain.init(names(3))
    for _ in range(8):
        _, after = chain.balance(gradients, state, seeded())
        assert not {value.data_ptr() for value in state.values()} & {
            value.data_ptr() for value in after.values()
        }
        state = after


def test_learned_parameters_add_up() -> None:
    assert learned_parameters(Chain((Equal(),)), 3) == 0
    assert learned_parameters(Chain((GradNorm(),)), 3) == 3
    assert learned_parameters(Chain((Uncertainty(), GradNorm(), PCGrad(), CAGrad())), 4) == 8


@pytest.mark.parametrize("space", ["last_shared", "all_shared"])
def test_gradnorm_does_not_reach_into_the_network(space) -> None:  # type: ignore[no-untyped-def]
    net, plain = network(), network()
    chain = Chain((gradnorm_from(KNOWN, lr=0.3, layer=space),))
    state = chain.init(names(3))
    for _ in range(3):
        gradients = net.gradients()
        decision, state = chain.balance(gradients, state, seeded())
        gradients.combine(decision.shared, decision.own)
        plain_losses = plain.losses()
        for parameter in plain.parameters:
            parameter.grad = None
        scaled = [weight * loss for weight, loss in zip(decision.shared.tolist(), plain_losses, strict=True)]
        torch.stack(scaled).sum().backward()
        for ours, theirs in zip(net.parameters, plain.parameters, strict=True):
            assert ours.grad is not None
            assert theirs.grad is not None
            assert torch.equal(ours.grad, theirs.grad)
    assert not torch.equal(decision.shared, torch.ones(3, dtype=torch.float64))
