"""The two objectives called smooth Tchebycheff, differentiated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd import scalarization as oracle

from mtctl.balancing.contract import SignalError
from mtctl.balancing.stch import STCH
from tests.balancing.cases import by_task, step, steps


@given(
    losses=st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    ideal=st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    mu=st.sampled_from([1e-3, 0.1, 1.0, 10.0]),
)
@settings(deadline=None)
def test_linear_is_torchjd_s(losses: tuple[float, ...], ideal: tuple[float, ...], mu: float) -> None:
    shares = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
    theirs = oracle.STCH(mu, weights=shares, reference=torch.tensor(ideal, dtype=torch.float64))
    values = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(theirs(values), values)
    (weights,), _ = steps(
        STCH(form="linear", mu=mu, base_weights=by_task((1.0, 2.0, 7.0)), ideal=by_task(ideal)),
        [step(losses)],
    )
    np.testing.assert_allclose(weights, expected.numpy(), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("mu", [0.1, 1.0, 5.0])
def test_log_is_the_gradient_of_its_objective(mu: float) -> None:
    rng = np.random.default_rng(0)
    first, later = rng.uniform(0.1, 10, size=(4, 3)), rng.uniform(0.1, 10, size=3)
    weights, _ = steps(STCH(form="log", mu=mu, initial_window=4), [step(now) for now in (*first, later)])
    np.testing.assert_allclose(weights[:4], 1 / first, rtol=1e-12)  # Σ log L until then
    values = torch.from_numpy(later).requires_grad_()
    progress = torch.log(values / torch.from_numpy(first.mean(0)))
    (expected,) = torch.autograd.grad(3 * mu * torch.logsumexp(progress / mu, 0), values)
    np.testing.assert_allclose(weights[4], expected.numpy(), rtol=1e-9)


def test_by_hand() -> None:
    (weights,), _ = steps(STCH(form="linear", mu=0.5), [step([2.0, 4.0])])
    # y = 1, 2; softmax(2, 4)
    np.testing.assert_allclose(weights, 0.5 * np.exp([2.0, 4.0]) / np.exp([2.0, 4.0]).sum())


def test_only_the_worst_task_trains_as_mu_goes_to_zero() -> None:
    (weights,), _ = steps(STCH(form="linear", mu=1e-12), [step([1.0, 3.0, 2.0])])
    np.testing.assert_allclose(weights, [0.0, 1 / 3, 0.0], atol=1e-300)


def test_log_does_not_see_the_scale_of_a_loss_and_linear_does() -> None:
    losses, scales = np.random.default_rng(0).uniform(1, 2, size=(5, 3)), np.array([1e-15, 1.0, 1e15])
    plain, _ = steps(STCH(form="log", initial_window=2), [step(now) for now in losses])
    scaled, _ = steps(STCH(form="log", initial_window=2), [step(now * scales) for now in losses])
    np.testing.assert_allclose(np.array(scaled) * scales, plain, rtol=1e-9)
    (leader,), _ = steps(STCH(form="linear"), [step(losses[0] * scales)])
    np.testing.assert_allclose(leader, [0.0, 0.0, 1 / 3], atol=1e-300)


def test_shares_are_of_the_active_tasks() -> None:
    (weights,), _ = steps(
        STCH(form="linear", base_weights=by_task((1.0, 5.0, 3.0))),
        [step([4.0, 9.0, 4 / 3], [True, False, True])],
    )
    np.testing.assert_allclose(weights, [1 / 8, 0.0, 3 / 8])  # λL = 1 for both


def test_a_newcomer_takes_the_others_back_to_the_sum_of_logarithms() -> None:
    both, three = [True, True, False], [True, True, True]
    seen = [step([2.0, 1.0, 4.0], both)] * 3 + [step([1.0, 1.0, 4.0], three)] * 2
    weights, state = steps(STCH(form="log", initial_window=1), seen)
    np.testing.assert_allclose(weights[1], [1 / 2, 1.0, 0.0])
    np.testing.assert_allclose(weights[3], [1.0, 1.0, 1 / 4])
    np.testing.assert_allclose(weights[4], 3 * np.array([0.5, 1.0, 1.0]) / 2.5 / [1.0, 1.0, 4.0])
    assert state["first_losses"].tolist() == [2.0, 1.0, 4.0]


def test_a_task_without_loss_left_is_left_out() -> None:
    weights, _ = steps(STCH(form="log", initial_window=1), [step([2.0, 1.0, 4.0]), step([1.0, 0.0, 4.0])])
    np.testing.assert_allclose(weights[1], [2 / 3, 0.0, 1 / 3])  # 2·(½, 1)/1½ over losses 1 and 4


def test_a_negative_loss_names_its_task_where_it_has_no_logarithm() -> None:
    with pytest.raises(SignalError, match="so its logarithm does not exist") as error:
        steps(STCH(form="log"), [step([1.0, -0.5])])
    assert error.value.task == 1
