"""MGDA's exact minimum against its optimality conditions, scipy and torchjd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torchjd.aggregation import MGDA as TorchjdMGDA

from mtctl.balancing.contract import Array
from mtctl.balancing.mgda import MGDA, kkt_residual, shortest
from tests.balancing.cases import GOLDEN, SCALES, STRUCTURED, drawn, spread_out, update


def gramian(jacobian: Array) -> Array:
    return np.asarray(jacobian @ jacobian.T)


def test_golden_value() -> None:
    np.testing.assert_allclose(update(MGDA(), GOLDEN), [0.0, 1.0, 1.0], atol=1e-12)


@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (3, 10)])
def test_torchjd_agrees(tasks: int, width: int) -> None:
    """With two or three tasks: at 10, 100,000 of its Frank-Wolfe steps still end 2e-3 from the optimum."""
    theirs = TorchjdMGDA(epsilon=1e-9, max_iters=1000)
    for seed in range(3):
        jacobian = drawn(tasks, width, seed)
        np.testing.assert_allclose(update(MGDA(), jacobian), theirs(torch.from_numpy(jacobian)), rtol=1e-6)


@pytest.mark.parametrize("tasks", [2, 5, 10])
def test_no_point_that_scipy_finds_is_shorter(tasks: int) -> None:
    for seed in range(3):
        matrix = gramian(drawn(tasks, 8, seed))
        weights = shortest(matrix)
        found = minimize(
            lambda w, matrix=matrix: w @ matrix @ w,
            np.full(tasks, 1 / tasks),
            method="SLSQP",
            bounds=[(0.0, 1.0)] * tasks,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        assert weights @ matrix @ weights <= found.fun + 1e-12
        assert weights @ matrix @ weights == pytest.approx(found.fun, abs=1e-5)


@given(tasks=st.integers(1, 40), width=st.integers(1, 60), seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_every_task_improves_by_the_squared_length(tasks: int, width: int, seed: int) -> None:
    jacobian = drawn(tasks, width, seed)
    weights, step = shortest(gramian(jacobian)), update(MGDA(), jacobian)
    assert weights.sum() == pytest.approx(1.0)
    assert (jacobian @ step).min() >= step @ step - 1e-12 * np.square(jacobian).sum(1).max()
    assert kkt_residual(gramian(jacobian), weights) < 1e-12


def test_forty_tasks_where_a_hundred_frank_wolfe_steps_are_lost() -> None:
    jacobian = spread_out(40, 60, 100.0)
    step = update(MGDA(), jacobian)
    theirs = TorchjdMGDA(max_iters=100)(torch.from_numpy(jacobian)).numpy()
    assert np.linalg.norm(theirs) > 1.5 * np.linalg.norm(step)
    assert (jacobian @ theirs).min() < 0 < (jacobian @ step).min()


@pytest.mark.parametrize("spread", [1e2, 1e8, 1e16])
@pytest.mark.parametrize("tasks", [3, 40])
def test_gradients_of_very_different_lengths(tasks: int, spread: float) -> None:
    for seed in range(5):
        matrix = gramian(spread_out(tasks, 100, spread, seed))
        assert kkt_residual(matrix, shortest(matrix)) < 1e-12


@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_singular_gramians(jacobian: Array) -> None:
    for scale in SCALES:
        matrix = gramian(jacobian * scale)
        assert kkt_residual(matrix, shortest(matrix)) < 1e-10, scale


def test_where_no_step_improves_every_task_there_is_none() -> None:
    for name in ("balanced", "opposite rows"):
        assert np.linalg.norm(update(MGDA(), STRUCTURED[name])) < 1e-12


def test_a_wrong_answer_leaves_a_residual() -> None:
    matrix = gramian(drawn(3, 5))
    right = shortest(matrix)
    for wrong in (np.full(3, 1 / 3), right[::-1].copy()):
        assert kkt_residual(matrix, wrong) > 1e-3
