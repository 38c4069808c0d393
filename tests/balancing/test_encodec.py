"""EnCodec's balancer against a direct transcription of the paper's equation."""

from __future__ import annotations

import numpy as np
import pytest

from mtctl.balancing.contract import Array
from mtctl.balancing.encodec import Encodec
from tests.balancing.cases import SCALES, by_task, drawn, signals, steps


def literal(jacobians: list[Array], shares: Array, total: float, decay: float) -> list[Array]:
    """The rescaled gradients' sum at each step, written on the gradients themselves."""
    sums, counts, updates = np.zeros(3), 0.0, []
    for jacobian in jacobians:
        sums = decay * sums + np.linalg.norm(jacobian, axis=1)
        counts = decay * counts + 1  # what the weights of the sum add up to: no bias at the start
        averages = sums / counts
        updates.append(
            sum(total * s / shares.sum() / a * g for s, a, g in zip(shares, averages, jacobian, strict=True))
        )
    return updates


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("scale", SCALES)
def test_it_is_the_equation_of_the_paper(decay: float, scale: float) -> None:
    jacobians = [scale * drawn(3, 6, seed) * [[0.1], [1.0], [100.0]] for seed in range(12)]
    method = Encodec(momentum=decay, total_norm=2.0, base_weights=by_task((1.0, 4.0, 100.0)))
    weights, _ = steps(method, [signals(jacobian) for jacobian in jacobians])
    expected = literal(jacobians, np.array([1.0, 4.0, 100.0]), 2.0, decay)
    for now, jacobian, update in zip(weights, jacobians, expected, strict=True):
        np.testing.assert_allclose(now @ jacobian, update, rtol=1e-9, atol=1e-12)


def test_steady_gradients_get_exactly_their_shares() -> None:
    jacobian = drawn(3, 6) * [[1e-6], [1.0], [1e6]]
    weights, _ = steps(
        Encodec(total_norm=5.0, base_weights=by_task((1.0, 1.0, 3.0))), [signals(jacobian)] * 4
    )
    for now in weights:
        np.testing.assert_allclose(now * np.linalg.norm(jacobian, axis=1), [1.0, 1.0, 3.0])


def test_shares_are_of_the_active_tasks() -> None:
    (weights,), _ = steps(
        Encodec(base_weights=by_task((1.0, 2.0, 1.0))), [signals(np.eye(3), active=[True, False, True])]
    )
    assert weights.tolist() == [0.5, 0.0, 0.5]


def test_a_gradient_that_was_always_zero_gets_no_weight() -> None:
    jacobian = np.diag([1.0, 0.0, 2.0])
    weights, _ = steps(Encodec(), [signals(jacobian), signals(np.eye(3))])
    np.testing.assert_allclose(weights[0], [1 / 3, 0.0, 1 / 6])
    assert weights[1][1] == pytest.approx(2 / 3, rel=1e-3)  # the mean of 0 and 1 is one half


def test_a_share_of_zero_is_no_weight() -> None:
    (weights,), _ = steps(Encodec(base_weights=by_task((0.0, 1.0, 1.0))), [signals(np.eye(3))])
    assert weights.tolist() == [0.0, 0.5, 0.5]
    (only,), _ = steps(
        Encodec(base_weights=by_task((0.0, 1.0, 1.0))), [signals(np.eye(3), active=[True, False, False])]
    )
    assert only.tolist() == [0.0, 0.0, 0.0]
