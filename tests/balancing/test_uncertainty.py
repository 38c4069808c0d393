"""Uncertainty weighting against its objective, differentiated and optimised by torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtctl.balancing.uncertainty import Uncertainty
from tests.balancing.cases import drawn, signals, steps

LOSSES = [0.01, 1.0, 16.0]


def test_it_is_torch_adam_on_the_objective() -> None:
    rng = np.random.default_rng(0)
    losses = rng.uniform(0.1, 10.0, size=(50, 3))
    ours, _ = steps(Uncertainty(lr=0.05), [signals(drawn(3, 2), step) for step in losses])

    s = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([s], lr=0.05, weight_decay=0.0)
    for now, step in zip(ours, losses, strict=True):
        np.testing.assert_allclose(now, 0.5 * np.exp(-s.detach().numpy()), rtol=1e-12)
        optimizer.zero_grad()
        (0.5 * torch.exp(-s) * torch.from_numpy(step) + 0.5 * s).sum().backward()
        optimizer.step()


def test_first_weights_are_one_half() -> None:
    (first,), _ = steps(Uncertainty(), [signals(drawn(3, 2), LOSSES)])
    assert first.tolist() == [0.5, 0.5, 0.5]


def test_the_initial_variance_sets_the_first_weights() -> None:
    (first,), _ = steps(Uncertainty(initial_log_variance=1.0), [signals(drawn(3, 2), LOSSES)])
    np.testing.assert_allclose(first, 0.5 * np.exp(-1.0))


def test_the_fixed_point_gives_large_losses_small_weights() -> None:
    weights, state = steps(Uncertainty(lr=0.02), [signals(drawn(3, 2), LOSSES)] * 2000)
    np.testing.assert_allclose(np.exp(state["log_variances"]), LOSSES, rtol=1e-3)
    np.testing.assert_allclose(weights[-1], 1 / (2 * np.array(LOSSES)), rtol=1e-3)


def test_a_weight_rests_while_its_task_is_away() -> None:
    together = [signals(drawn(3, 2), LOSSES)] * 3
    without = [signals(drawn(3, 2), LOSSES, [True, True, False])] * 4
    weights, state = steps(Uncertainty(lr=0.1), together + without + together[:1])
    expected, _ = steps(Uncertainty(lr=0.1), [*together, together[0]])
    assert weights[-1][2] == expected[-1][2]
    assert state["adam_moves"].tolist() == [8, 8, 4]


@pytest.mark.parametrize("tasks", [1, 3])
def test_it_learns_one_number_for_each_task(tasks: int) -> None:
    assert Uncertainty().parameters(tasks) == tasks
