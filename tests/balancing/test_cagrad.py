"""CAGrad's exact solution against general-purpose solvers and its own optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mtctl.balancing import cagrad
from mtctl.balancing.cagrad import CAGrad, conflict_averse, kkt_residual
from mtctl.balancing.contract import Array, ConvergenceError
from mtctl.errors import ExitCode
from tests.balancing.cases import GOLDEN, SCALES, STRUCTURED, drawn, seeded, signals


def step(jacobian: Array, c: float = 0.5) -> Array:
    return np.asarray(conflict_averse(jacobian @ jacobian.T, c) @ jacobian)


def objective(jacobian: Array, c: float, shares: Array) -> float:
    """g_v·g₀ + c·‖g₀‖·‖g_v‖ for v in the simplex."""
    mean, combined = jacobian.mean(0), shares @ jacobian
    return float(combined @ mean + c * np.linalg.norm(mean) * np.linalg.norm(combined))


def gap(jacobian: Array, c: float) -> float:
    """What is left between the objective and the worst improvement of the step, relative; 0 if optimal."""
    weights = conflict_averse(jacobian @ jacobian.T, c)
    excess = weights - 1 / len(jacobian)
    lowest = objective(jacobian, c, excess / excess.sum())
    size = (1 + c) * np.linalg.norm(jacobian.mean(0)) * np.linalg.norm(jacobian, axis=1).min()
    return float((lowest - (jacobian @ (weights @ jacobian)).min()) / size)


def test_golden_value() -> None:
    weights, _ = CAGrad(c=0.5).weigh(signals(GOLDEN), {}, seeded())
    np.testing.assert_allclose(weights @ GOLDEN, [0.1835, 1.2041, 1.2041], atol=5e-5)


def test_rescaling_divides_by_one_plus_c_squared() -> None:
    plain, _ = CAGrad(c=0.5).weigh(signals(GOLDEN), {}, seeded())
    rescaled, _ = CAGrad(c=0.5, rescale=True).weigh(signals(GOLDEN), {}, seeded())
    np.testing.assert_allclose(rescaled * 1.25, plain, rtol=1e-15)


@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_radius_zero_is_the_mean(jacobian: Array) -> None:
    weights, _ = CAGrad(c=0.0).weigh(signals(jacobian), {}, seeded())
    np.testing.assert_allclose(weights, np.full(3, 1 / 3))


@given(
    tasks=st.integers(1, 6),
    width=st.integers(2, 10),
    seed=st.integers(0, 10_000),
    c=st.sampled_from([0.1, 0.5, 0.9, 2.0]),
)
@settings(max_examples=25, deadline=None)
def test_no_point_that_scipy_finds_is_lower(tasks: int, width: int, seed: int, c: float) -> None:
    jacobian = drawn(tasks, width, seed)
    weights = conflict_averse(jacobian @ jacobian.T, c)
    found = minimize(
        lambda shares: objective(jacobian, c, shares),
        np.full(tasks, 1 / tasks),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * tasks,
        constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1.0},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    # By duality the lowest objective is the worst improvement of the best step.
    worst = (jacobian @ (weights @ jacobian)).min()
    assert worst == pytest.approx(found.fun, abs=1e-4)  # SLSQP may stop some 1e-5 above it
    assert worst <= found.fun + 1e-9


@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (3, 10), (5, 3), (10, 20)])
def test_torchjd_agrees(tasks: int, width: int) -> None:
    pytest.importorskip("cvxpy", reason="torchjd's CAGrad needs cvxpy")
    pytest.importorskip("clarabel", reason="torchjd's CAGrad needs clarabel")
    from torchjd.aggregation import CAGrad as TorchjdCAGrad

    jacobian = drawn(tasks, width, seed=tasks)
    # Neither side rescales. Theirs blurs the Gramian a little to keep its solver stable.
    theirs = TorchjdCAGrad(c=0.5, norm_eps=1e-8)(torch.from_numpy(jacobian))
    np.testing.assert_allclose(step(jacobian), theirs, rtol=1e-3, atol=1e-3)


@given(
    tasks=st.integers(2, 40), width=st.integers(1, 60), seed=st.integers(0, 10_000), c=st.floats(0.01, 3.0)
)
@example(tasks=25, width=6, seed=18, c=2.0)
@settings(max_examples=60, deadline=None)
def test_optimality_conditions_hold(tasks: int, width: int, seed: int, c: float) -> None:
    jacobian = drawn(tasks, width, seed)
    gramian = jacobian @ jacobian.T
    assert kkt_residual(gramian, conflict_averse(gramian, c), c) < 1e-7


@pytest.mark.parametrize(
    ("tasks", "width", "copies", "seed", "c"),
    [(34, 7, 17, 7979, 2.729), (31, 9, 15, 1394, 2.791), (29, 6, 14, 4595, 2.36), (24, 8, 12, 3, 3.0)],
)
def test_more_tasks_than_dimensions_and_some_of_them_the_same(
    tasks: int, width: int, copies: int, seed: int, c: float
) -> None:
    generator = np.random.default_rng(seed)
    jacobian = generator.normal(size=(tasks, width))
    jacobian[generator.integers(0, tasks, copies)] = jacobian[generator.integers(0, tasks, copies)]
    gramian = jacobian @ jacobian.T
    assert kkt_residual(gramian, conflict_averse(gramian, c), c) < 1e-9


@pytest.mark.parametrize("c", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(2, 5), (3, 10), (40, 100)])
def test_the_duality_gap_closes(shape: tuple[int, int], c: float) -> None:
    for seed in range(5):
        assert abs(gap(drawn(*shape, seed), c)) < 1e-10


def test_a_wrong_answer_leaves_a_residual() -> None:
    jacobian = drawn(3, 5)
    gramian = jacobian @ jacobian.T
    right = conflict_averse(gramian, 0.5)
    assert kkt_residual(gramian, right, 0.5) < 1e-12
    for wrong in (np.full(3, 1 / 3), right * 1.01, right[::-1].copy(), right - [0.1, 0, 0]):
        assert kkt_residual(gramian, wrong, 0.5) > 1e-3
    assert kkt_residual(gramian, right, 0.0) > 1e-3


@given(seed=st.integers(0, 10_000), c=st.floats(0.05, 1.5))
@settings(max_examples=30, deadline=None)
def test_no_other_step_in_the_ball_improves_the_worst_task_more(seed: int, c: float) -> None:
    jacobian = drawn(4, 6, seed)
    mean, best = jacobian.mean(0), step(jacobian, c)
    radius = c * np.linalg.norm(mean)
    assert np.linalg.norm(best - mean) == pytest.approx(radius)
    directions = np.random.default_rng(seed).normal(size=(200, 6))
    others = mean + radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert (jacobian @ best).min() >= (others @ jacobian.T).min(1).max() - 1e-12


@pytest.mark.parametrize("spread", [1e-8, 1e-4, 1e4, 1e8])
@pytest.mark.parametrize("tasks", [3, 40])
def test_gradients_of_very_different_lengths(tasks: int, spread: float) -> None:
    for seed in range(5):
        lengths = spread ** np.random.default_rng(seed).uniform(-1, 1, size=(tasks, 1))
        jacobian = drawn(tasks, 100, seed) * lengths
        gramian = jacobian @ jacobian.T
        assert kkt_residual(gramian, conflict_averse(gramian, 0.5), 0.5) < 1e-10


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_singular_gramians(jacobian: Array, scale: float) -> None:
    gramian = (jacobian @ jacobian.T) * scale**2
    assert kkt_residual(gramian, conflict_averse(gramian, 0.5), 0.5) < 1e-7


@given(tasks=st.integers(2, 8), width=st.integers(1, 4), seed=st.integers(0, 10_000), c=st.floats(0.05, 2.0))
@settings(max_examples=60, deadline=None)
def test_gramians_formed_in_single_precision(tasks: int, width: int, seed: int, c: float) -> None:
    # More tasks than dimensions, and eigenvalues of 0 that rounding has made negative.
    jacobian = drawn(tasks, width, seed).astype(np.float32)
    gramian = (jacobian @ jacobian.T).astype(np.float64)
    assert kkt_residual(gramian, conflict_averse(gramian, c), c) < cagrad.TOLERANCE


def test_a_duplicated_task_does_not_change_the_step_beyond_the_mean() -> None:
    jacobian = drawn(3, 5)
    doubled = np.concatenate((jacobian, jacobian))
    np.testing.assert_allclose(step(doubled), step(jacobian), rtol=1e-9)


def test_a_zero_gradient_counts_in_the_mean_alone() -> None:
    jacobian = np.concatenate((drawn(2, 5), np.zeros((1, 5))))
    result, mean = step(jacobian), jacobian.mean(0)
    assert np.linalg.norm(result - mean) == pytest.approx(0.5 * np.linalg.norm(mean))
    assert (jacobian[:2] @ result).min() > (jacobian[:2] @ mean).min()


def test_where_nothing_improves_every_task_the_step_harms_none() -> None:
    # The first two gradients are opposite: only the second axis is harmless, and the mean is not quite on it.
    jacobian = np.array([[1.0, 0.0], [-1.0, 0.0], [0.1, 3.0]])
    result, mean = step(jacobian), jacobian.mean(0)
    np.testing.assert_allclose(result, [0.0, 1.0], atol=1e-9)
    assert np.linalg.norm(result - mean) < 0.5 * np.linalg.norm(mean)


def test_a_mean_of_zero_is_no_step() -> None:
    assert np.linalg.norm(step(STRUCTURED["balanced"])) < 1e-7


def test_no_gradient_at_all_is_the_mean_of_nothing() -> None:
    np.testing.assert_allclose(conflict_averse(np.zeros((3, 3)), 0.5), np.full(3, 1 / 3))


def test_a_kink_that_rounding_has_put_behind_the_path_is_taken_at_once() -> None:
    offsets, slopes = np.array([1.0, 4.0, 5.0]), np.array([-2.0, -1.0, 1.0])
    assert cagrad._first_zero(offsets, slopes, 0.0, start=0.0) == (0.5, 0)
    assert cagrad._first_zero(offsets, slopes, 0.0, start=1.0) == (1.0, 0)
    assert cagrad._first_zero(offsets, slopes, 2.0, start=0.0) == (np.inf, 0)


@pytest.mark.parametrize(("constant", "value"), [("KINKS_PER_TASK", 0), ("TOLERANCE", -1.0)])
def test_an_unsolved_minimisation_is_an_error(
    constant: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cagrad, constant, value)
    with pytest.raises(ConvergenceError, match=r"CAGrad did not solve .* \(condition number .*\)") as error:
        conflict_averse(GOLDEN @ GOLDEN.T, 0.5)
    assert error.value.code is ExitCode.FAILED
    assert error.value.hint
