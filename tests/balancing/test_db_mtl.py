"""DB-MTL on a network, against its equations on the gradients of logarithms."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch

from mtctl.balancing.chain import Chain
from mtctl.balancing.db_mtl import DBMTL, LongestNorm
from mtctl.balancing.log_loss import LogLoss
from mtctl.balancing.pcgrad import PCGrad
from tests.balancing.cases import SCALES, drawn, given, names, seeded, signals, steps
from tests.balancing.networks import network


def logarithms(jacobian: np.ndarray, losses: list[float]) -> np.ndarray:
    """Rows ∇ log(Lᵢ + 1e-8)."""
    return jacobian / (np.array(losses) + 1e-8)[:, None]


@pytest.mark.parametrize("scale", SCALES)
def test_without_memory_it_is_the_paper_s_update(scale: float) -> None:
    losses = [0.01, 1.0, 400.0]
    jacobian = scale * drawn(3, 6)
    methods = Chain((DBMTL(momentum=0.0),))
    decision, _ = methods.balance(given(jacobian, losses), methods.init(names(3)), seeded())
    rows = logarithms(jacobian, losses)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = (lengths.max() * rows / lengths).sum(0)
    np.testing.assert_allclose(decision.shared.numpy() @ jacobian, expected, rtol=1e-9, atol=1e-12 * scale)
    np.testing.assert_allclose(decision.own, 1 / (np.array(losses) + 1e-8))


def test_lengths_are_averaged_over_steps() -> None:
    first, second = np.diag([1.0, 2.0, 4.0]), np.diag([3.0, 2.0, 2.0])
    weights, _ = steps(LongestNorm(momentum=0.5), [signals(first), signals(second)])
    np.testing.assert_allclose(weights[0], [4.0, 2.0, 1.0])
    # m = (½·1 + 3)/(½ + 1), …: 7/3, 2, 8/3
    np.testing.assert_allclose(weights[1], [8 / 7, 4 / 3, 1.0])


def test_heads_follow_the_logarithms_alone() -> None:
    net, plain = network(), network()
    methods = Chain((DBMTL(),))
    gradients = net.gradients()
    decision, _ = methods.balance(gradients, methods.init(names(3)), seeded())
    gradients.combine(decision.shared, decision.own)
    torch.stack([torch.log(loss + 1e-8) for loss in plain.losses()]).sum().backward()
    for ours, theirs in zip(chain.from_iterable(net.own), chain.from_iterable(plain.own), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)


def test_a_gradient_that_was_always_zero_gets_no_weight() -> None:
    (weights,), _ = steps(LongestNorm(), [signals(np.diag([1.0, 0.0, 2.0]))])
    assert weights.tolist() == [2.0, 0.0, 1.0]


def test_the_longest_is_an_active_one() -> None:
    seen = [signals(np.diag([1.0, 8.0, 2.0])), signals(np.diag([1.0, 8.0, 2.0]), active=[True, False, True])]
    weights, _ = steps(LongestNorm(), seen)
    np.testing.assert_allclose(weights, [[8.0, 1.0, 4.0], [2.0, 0.0, 1.0]])


def test_it_is_two_methods_in_a_row() -> None:
    methods = Chain((DBMTL(momentum=0.5, layer="last_shared", every=2), PCGrad())).methods
    longest = LongestNorm(momentum=0.5, layer="last_shared", every=2)
    assert methods == (LogLoss(epsilon=1e-8, every=2), longest, PCGrad())
