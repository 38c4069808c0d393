"""The literal GradNorm and mtctl's agree but for the order: mtctl's network moves before its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.literal_gradnorm import LiteralGradNorm, Network
from benchmarks.sides import HIDDEN, ROWS, SEED, TASKS, SteppedLander, updates
from mtctl.balancing.chain import Chain
from mtctl.balancing.fixed import Manual
from mtctl.balancing.gradnorm import GradNorm
from mtctl.engine.fit import Balancing
from mtctl.problems.lander.replay import Batch
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS

SIZES = (OBSERVATIONS, *HIDDEN, ACTIONS)
METHOD = GradNorm(initial_loss="first_batch", lr=0.01, weight_floor=0.0)


@pytest.fixture
def lander() -> SteppedLander:
    return updates(METHOD, filled=ROWS)


@pytest.fixture
def literal(lander: SteppedLander) -> LiteralGradNorm:
    values = lander.dqn.online.parameters[0]
    return LiteralGradNorm(network_of(values), network_of(values), len(TASKS))


def network_of(values: Tensor) -> Network:
    network = Network(SIZES)
    network.load_flat(values)
    return network


def by_task(batch: Batch) -> Sequence[Batch]:
    return [Batch(rows, (ROWS,)) for rows in batch.rows.split(ROWS)]


def test_the_network_is_the_same_function(lander: SteppedLander, literal: LiteralGradNorm) -> None:
    batch = lander.replay.sample(ROWS)
    values = lander.dqn.online.forward(batch.observations, batch.counts)
    torch.testing.assert_close(literal.network(batch.observations).detach(), values)


def test_the_weights_follow_the_same_path(lander: SteppedLander, literal: LiteralGradNorm) -> None:
    balancing = Balancing(Chain((METHOD,)), TASKS, SEED)
    for update in range(20):
        batch = lander.replay.sample(ROWS)
        literal.network.load_flat(lander.dqn.online.parameters[0])
        gradients = lander.dqn.gradients(batch)
        decision = balancing.balance(gradients)
        expected = literal.weights().detach().numpy()
        np.testing.assert_allclose(np.asarray(decision.shared), expected, rtol=1e-4)
        if update:
            literal.move_weights(by_task(batch))
        else:
            # mtctl's first batch sets L(0) and moves nothing.
            literal.initial_losses = torch.stack(literal.losses(by_task(batch))).detach()
        gradients.combine(decision.shared, decision.own)
        lander.dqn.update()
    assert np.abs(expected - 1).max() > 0.05


def test_the_network_moves_the_same_way_under_the_same_weights(
    lander: SteppedLander, literal: LiteralGradNorm
) -> None:
    batch = lander.replay.sample(ROWS)
    literal.update(by_task(batch))
    weights = dict(zip(TASKS, literal.weights().tolist(), strict=True))
    balancing = Balancing(Chain((Manual(weights=weights),)), TASKS, SEED)
    gradients = lander.dqn.gradients(batch)
    decision = balancing.balance(gradients)
    gradients.combine(decision.shared, decision.own)
    leaf = lander.dqn.online.leaves()[0]
    assert leaf.grad is not None
    expected = [parameter.grad for parameter in literal.network.parameters()]
    found = [parameter.detach() for parameter in network_of(leaf.grad).parameters()]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    before = [parameter.detach() for parameter in network_of(lander.dqn.online.parameters[0]).parameters()]
    lander.dqn.update()
    after = [parameter.detach() for parameter in network_of(lander.dqn.online.parameters[0]).parameters()]
    for old, new, other in zip(before, after, literal.network.parameters(), strict=True):
        # Adam's first step is lr · sign(g), whatever the size of g: entries whose g is noise are no evidence.
        torch.testing.assert_close((new - old).abs().median(), (other.detach() - old).abs().median())
        torch.testing.assert_close(new, other.detach(), rtol=0, atol=1e-3)


def test_the_gradnorm_loss_does_not_move_the_network(lander: SteppedLander, literal: LiteralGradNorm) -> None:
    before = [parameter.detach().clone() for parameter in literal.network.parameters()]
    literal.move_weights(by_task(lander.replay.sample(ROWS)))
    for one, other in zip(literal.network.parameters(), before, strict=True):
        assert torch.equal(one.detach(), other)
