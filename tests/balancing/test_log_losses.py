"""GLS, the sum of logarithms and IMTL-L: three ways to the same balance of losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchjd import scalarization as oracle

from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.contract import Method, SignalError
from mtctl.balancing.gls import GLS
from mtctl.balancing.imtl_l import IMTLL
from mtctl.balancing.log_loss import LogLoss
from tests.balancing.cases import step, steps

some_losses = st.lists(st.floats(1e-15, 1e15), min_size=1, max_size=5)


@given(losses=some_losses)
def test_gls_is_torchjd_s_geometric_mean(losses: list[float]) -> None:
    values = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(oracle.GeometricMean()(values), values)
    (weights,), _ = steps(GLS(), [step(losses)])
    np.testing.assert_allclose(weights, expected.numpy(), rtol=1e-9)


def test_gls_by_hand() -> None:
    (weights,), _ = steps(GLS(), [step([1.0, 2.0, 4.0])])  # geometric mean 2
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3, 1 / 6])


@given(losses=some_losses, epsilon=st.sampled_from([0.0, 1e-8, 0.5]))
def test_log_is_the_gradient_of_its_objective(losses: list[float], epsilon: float) -> None:
    values = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad((values + epsilon).log().sum(), values)
    (weights,), _ = steps(LogLoss(epsilon=epsilon), [step(losses)])
    np.testing.assert_allclose(weights, expected.numpy(), rtol=1e-12)


def test_log_and_batch_scale_are_one_rule_on_losses_that_count() -> None:
    (log,), _ = steps(LogLoss(), [step([0.01, 3.0, 1e9])])
    (scaled,), _ = steps(BatchScale(), [step([0.01, 3.0, 1e9])])
    np.testing.assert_allclose(log, scaled, rtol=1e-15)


@pytest.mark.parametrize("method", [GLS(), LogLoss()], ids=repr)
def test_a_task_without_loss_left_is_left_out(method: Method) -> None:
    (weights,), _ = steps(method, [step([2.0, 0.0, 8.0])])
    (rest,), _ = steps(method, [step([2.0, 8.0])])
    assert weights[1] == 0
    assert np.array_equal(weights[[0, 2]], rest)
    (nobody,), _ = steps(method, [step([0.0, 0.0])])
    assert nobody.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("method", [GLS(), LogLoss()], ids=repr)
def test_a_negative_loss_names_its_task(method: Method) -> None:
    with pytest.raises(SignalError, match=r"its loss is negative, so .* does not exist") as error:
        steps(method, [step([1.0, 1.0, -0.5])])
    assert error.value.task == 2


def test_imtl_l_is_torchjd_s_objective_under_torch_s_adam() -> None:
    losses = np.random.default_rng(0).uniform(0.1, 10.0, size=(50, 3))
    ours, _ = steps(IMTLL(lr=0.05), [step(now) for now in losses])
    theirs = oracle.IMTLL(3).double()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.05)
    for now, seen in zip(ours, losses, strict=True):
        values = torch.from_numpy(seen).requires_grad_()
        optimizer.zero_grad()
        theirs(values).backward()
        assert values.grad is not None
        np.testing.assert_allclose(now, values.grad.numpy(), rtol=1e-12)
        optimizer.step()


def test_imtl_l_brings_every_loss_to_one() -> None:
    losses = np.array([0.01, 1.0, 16.0])
    weights, _ = steps(IMTLL(lr=0.02), [step(losses)] * 2000)
    np.testing.assert_allclose(weights[-1] * losses, 1.0, rtol=1e-3)


def test_imtl_l_stays_within_its_limit_as_a_loss_vanishes() -> None:
    weights, state = steps(IMTLL(lr=0.5, limit=2.0), [step([0.0, 1e9])] * 20)
    np.testing.assert_allclose(weights[-1], np.exp([2.0, -2.0]))
    assert state["log_weights"].tolist() == [2.0, -2.0]


@pytest.mark.parametrize("tasks", [1, 3])
def test_imtl_l_learns_one_number_for_each_task(tasks: int) -> None:
    assert IMTLL().parameters(tasks) == tasks
