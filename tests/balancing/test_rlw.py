"""Random weights: their law, and where their randomness comes from."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torchjd import scalarization as oracle

from mtctl.balancing.contract import observe
from mtctl.balancing.rlw import RLW
from tests.balancing.cases import drawn, seeded, signals, steps

EVERYONE = signals(drawn(4, 2))


def test_they_are_torchjd_s_draws_times_the_number_of_tasks() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        values = torch.ones(4, dtype=torch.float64, requires_grad=True)
        (expected,) = torch.autograd.grad(oracle.Random()(values), values)
    (weights,), _ = steps(RLW(), [EVERYONE], seed=3)
    np.testing.assert_allclose(weights, 4 * expected.numpy(), rtol=1e-12)


def test_their_mean_is_one_at_every_step_and_over_time() -> None:
    weights, _ = steps(RLW(), [EVERYONE] * 4000)
    np.testing.assert_allclose(np.mean(weights, axis=1), 1.0)
    # A weight's standard deviation is about 0.9: four standard errors.
    np.testing.assert_allclose(np.mean(weights, axis=0), 1.0, atol=4 * 0.9 / 4000**0.5)
    assert np.min(weights) > 0


def test_inactive_tasks_get_nothing_and_the_others_mean_one() -> None:
    (weights,), _ = steps(RLW(), [signals(drawn(4, 2), active=[True, False, True, False])])
    assert weights[[1, 3]].tolist() == [0.0, 0.0]
    assert weights.sum() == pytest.approx(2.0)
    (nobody,), _ = steps(RLW(), [signals(drawn(4, 2), active=[False] * 4)])
    assert nobody.tolist() == [0.0] * 4


def test_every_member_of_a_batch_has_weights_of_its_own() -> None:
    (weights,), _ = steps(RLW(), [observe(np.ones((50, 3)), np.ones((50, 3), dtype=bool))])
    assert weights.shape == (50, 3)
    np.testing.assert_allclose(weights.mean(-1), 1.0)
    assert len(np.unique(weights)) == 150


def test_equal_generators_give_equal_weights_and_no_other_one_is_used() -> None:
    rng = seeded(5)
    twin, before = copy.deepcopy(rng), torch.get_rng_state()
    first = [RLW().weigh(EVERYONE, {}, rng)[0] for _ in range(3)]
    assert np.array_equal(first, [RLW().weigh(EVERYONE, {}, twin)[0] for _ in range(3)])
    assert not np.array_equal(first[0], first[1])
    assert torch.equal(torch.get_rng_state(), before)
