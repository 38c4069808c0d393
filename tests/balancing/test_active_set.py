"""The active-set method against scipy's non-negative least squares, and what it says when it fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from mtctl.balancing import _active_set
from mtctl.balancing.contract import Array, ConvergenceError
from tests.balancing.cases import drawn


def problem(tasks: int, width: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Unit rows A [T, P], a target [P], and the same as H and b."""
    rows = drawn(tasks, width, seed)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    target = drawn(1, width, seed + 1)[0]
    return rows, target, rows @ rows.T, rows @ target


@given(tasks=st.integers(1, 12), width=st.integers(1, 12), seed=st.integers(0, 10_000), full=st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_is_non_negative_least_squares(tasks: int, width: int, seed: int, full: bool) -> None:
    rows, target, matrix, pull = problem(tasks, width, seed)
    start = np.full(tasks, float(full))
    x = _active_set.minimise(matrix, pull, start, "it")
    assert (x >= 0).all()
    assert np.linalg.norm(x @ rows - target) == pytest.approx(nnls(rows.T, target)[1], abs=1e-9)
    assert _active_set.residual(matrix, pull, x) < 1e-9


def test_a_batch_is_its_members_bit_for_bit() -> None:
    problems = [problem(6, 4 + seed % 4, seed)[2:] for seed in range(10)]
    matrices, pulls = (np.stack(parts) for parts in zip(*problems, strict=True))
    together = _active_set.minimise(
        matrices.reshape(2, 5, 6, 6), pulls.reshape(2, 5, 6), np.zeros((2, 5, 6)), "it"
    )
    for x, matrix, pull in zip(together.reshape(10, 6), matrices, pulls, strict=True):
        assert np.array_equal(_active_set.minimise(matrix, pull, np.zeros(6), "it"), x)


@given(tasks=st.integers(1, 12), width=st.integers(1, 12), seed=st.integers(0, 10_000))
@settings(max_examples=60)
def test_all_at_once_and_one_after_the_other_come_to_the_same(tasks: int, width: int, seed: int) -> None:
    rows, _, matrix, pull = problem(tasks, width, seed)
    at_once = _active_set.minimise(matrix, pull, np.zeros(tasks), "it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_active_set, "ROUNDS", 0)
        step_by_step = _active_set.minimise(matrix, pull, np.zeros(tasks), "it")
    # Of gradients that depend on each other, several weights give the same step.
    np.testing.assert_allclose(at_once @ rows, step_by_step @ rows, atol=1e-9)


def test_what_exchanges_do_not_solve_is_left_to_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_active_set, "FOUND", -1.0)
    rows, target, matrix, pull = problem(4, 6, 0)
    x = _active_set.minimise(matrix, pull, np.zeros(4), "it")
    assert np.linalg.norm(x @ rows - target) == pytest.approx(nnls(rows.T, target)[1], abs=1e-9)


@given(tasks=st.integers(2, 20), width=st.integers(1, 6), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_matrices_formed_in_single_precision(tasks: int, width: int, seed: int) -> None:
    rows = problem(tasks, width, seed)[0]
    single = rows.astype(np.float32)
    matrix = (single @ single.T).astype(np.float64)
    pull = matrix @ drawn(1, tasks, seed + 2)[0]
    assert (
        _active_set.residual(matrix, pull, _active_set.minimise(matrix, pull, np.zeros(tasks), "it")) < 1e-4
    )


def test_nothing_to_gain_is_nothing() -> None:
    assert _active_set.minimise(np.eye(3), -np.ones(3), np.zeros(3), "it").tolist() == [0.0] * 3
    assert _active_set.minimise(np.zeros((3, 3)), np.zeros(3), np.zeros(3), "it").tolist() == [0.0] * 3


def test_a_wrong_answer_leaves_a_residual() -> None:
    _, _, matrix, pull = problem(4, 6, 0)
    right = _active_set.minimise(matrix, pull, np.zeros(4), "it")
    assert _active_set.residual(matrix, pull, right) < 1e-14
    assert _active_set.residual(matrix, pull, right + 0.1) > 1e-3


@pytest.mark.parametrize(("constant", "value"), [("MOVES_PER_TASK", 0), ("TOLERANCE", -1.0)])
def test_an_unsolved_minimisation_is_an_error(
    constant: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_active_set, constant, value)
    monkeypatch.setattr(_active_set, "ROUNDS", 0)
    with pytest.raises(ConvergenceError, match=r"UPGrad did not solve .* \(condition number .*\)"):
        _active_set.minimise(np.eye(2), np.ones(2), np.zeros(2), "UPGrad")
