"""Batch scale: what it equals, and why the first proposal cannot train."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.contract import Signals, observe
from tests.balancing.cases import by_task, steps


def step(losses: ArrayLike, active: ArrayLike = True) -> Signals:
    losses = np.asarray(losses, dtype=np.float64)
    return observe(losses, np.broadcast_to(np.asarray(active), losses.shape).copy())


@given(losses=st.lists(st.floats(1e-6, 1e15), min_size=1, max_size=5))
def test_the_weights_are_the_gradient_of_the_sum_of_logarithms(losses: list[float]) -> None:
    values = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(values.log().sum(), values)
    (weights,), _ = steps(BatchScale(), [step(losses)])
    np.testing.assert_allclose(weights, expected.numpy(), rtol=1e-12)


def test_every_task_contributes_its_base_weight_at_every_step() -> None:
    method = BatchScale(base_weights=by_task((0.1, 0.7, 0.2)), sizes=by_task((3, 2, 105)), size_exponent=0.5)
    for losses in ([16.0, 0.01, 3.0], [1.0, 100.0, 1e9]):
        (weights,), _ = steps(method, [step(losses)])
        np.testing.assert_allclose(weights * losses, np.array([0.1, 0.7, 0.2]) * np.sqrt([3, 2, 105]))


def test_a_negative_loss_is_driven_down_like_any_other() -> None:
    (weights,), _ = steps(BatchScale(), [step([-4.0, 0.5])])
    assert weights.tolist() == [0.25, 2.0]


def test_a_loss_below_epsilon_gains_no_more_weight() -> None:
    (weights,), _ = steps(BatchScale(epsilon=0.1), [step([0.0, 0.01, 1.0])])
    np.testing.assert_allclose(weights, [10.0, 10.0, 1.0])


def test_the_spread_is_one_factor_for_all() -> None:
    (weights,), _ = steps(BatchScale(scale="spread"), [step([1.0, 2.0, 6.0])])
    np.testing.assert_allclose(weights, 1 / np.std([1.0, 2.0, 6.0]))


def test_the_spread_is_that_of_the_active_tasks() -> None:
    (weights,), _ = steps(BatchScale(scale="spread"), [step([1.0, 50.0, 3.0], [True, False, True])])
    assert weights.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("losses", [[3.0], [2.0, 2.0, 2.0]])
def test_without_spread_the_losses_stay_as_they_are(losses: list[float]) -> None:
    (weights,), _ = steps(BatchScale(scale="spread"), [step(losses)])
    assert weights.tolist() == [1.0] * len(losses)


def test_the_literal_z_score_has_no_gradient_and_wrong_signs() -> None:
    """What the recipe's refusal of `form: literal` says."""
    parameter = torch.ones((), requires_grad=True)
    losses = [0.01 * parameter, 1.0 * parameter, 16.0 * parameter]
    values = [loss.item() for loss in losses]
    scores = [(value - np.mean(values)) / np.std(values) for value in values]
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.tensor(sum(scores)).backward()
    assert [score < 0 for score in scores] == [True, True, False]
