"""The solver of Gw = w^(−ρ): its optimality conditions, and what it says when it fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.balancing import _newton
from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array, ConvergenceError
from tests.balancing.cases import GOLDEN, SCALES, STRUCTURED, drawn, spread_out

powers = pytest.mark.parametrize("power", [0.5, 1.0, 2.0])


def residual(jacobian: Array, power: float) -> float:
    unit = unit_gradients(jacobian @ jacobian.T)
    return float(_newton.residual(unit, _newton.fair_weights(unit, power, "it"), power))


@powers
@given(tasks=st.integers(1, 40), seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_equation_holds(power: float, tasks: int, seed: int) -> None:
    jacobian = drawn(tasks, 100, seed)
    assert residual(jacobian, power) < 1e-8


@powers
def test_the_equation_holds_as_it_stands(power: float) -> None:
    jacobian = drawn(4, 8)
    gramian = jacobian @ jacobian.T
    weights = _newton.fair_weights(unit_gradients(gramian), power, "it")
    np.testing.assert_allclose(gramian @ weights, weights**-power, rtol=1e-8)


@pytest.mark.parametrize("spread", [1e2, 1e4, 1e8, 1e16])
@pytest.mark.parametrize("tasks", [3, 40])
def test_lengths_do_not_matter_at_power_one(tasks: int, spread: float) -> None:
    for seed in range(3):
        assert residual(spread_out(tasks, 100, spread, seed), 1.0) < 1e-8


@pytest.mark.parametrize(("power", "allowed"), [(0.2, 1e-4), (0.5, 1e-4), (2.0, 1e-4), (5.0, 1e-4)])
@pytest.mark.parametrize("tasks", [3, 20])
def test_gradients_of_very_different_lengths(tasks: int, power: float, allowed: float) -> None:
    for seed in range(3):
        assert residual(spread_out(tasks, 100, 1e2, seed), power) < 1e-7
        assert residual(spread_out(tasks, 100, 1e8, seed), power) < allowed


@powers
@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_singular_gramians(jacobian: Array, power: float) -> None:
    for scale in SCALES:
        assert residual(jacobian * scale, power) < 1e-4, scale


@powers
@given(tasks=st.integers(2, 20), width=st.integers(1, 8), seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_gramians_formed_in_single_precision(power: float, tasks: int, width: int, seed: int) -> None:
    # More tasks than dimensions, and eigenvalues of 0 that rounding has made negative.
    jacobian = drawn(tasks, width, seed).astype(np.float32)
    unit = unit_gradients((jacobian @ jacobian.T).astype(np.float64))
    weights = _newton.fair_weights(unit, power, "it")
    assert np.isfinite(weights).all()
    assert (weights > 0).all()


def test_a_batch_is_its_members_bit_for_bit() -> None:
    jacobians = np.stack([spread_out(4, 6, 10.0**seed, seed) for seed in range(6)])
    gramians = jacobians @ np.swapaxes(jacobians, -1, -2)
    together = _newton.fair_weights(unit_gradients(gramians.reshape(2, 3, 4, 4)), 2.0, "it")
    for weights, gramian in zip(together.reshape(6, 4), gramians, strict=True):
        assert np.array_equal(_newton.fair_weights(unit_gradients(gramian), 2.0, "it"), weights)


def test_a_wrong_answer_leaves_a_residual() -> None:
    unit = unit_gradients(GOLDEN @ GOLDEN.T)
    right = _newton.fair_weights(unit, 1.0, "it")
    assert _newton.residual(unit, right, 1.0) < 1e-9
    assert _newton.residual(unit, right * 1.01, 1.0) > 1e-2
    assert _newton.residual(unit, right, 2.0) > 1e-2


@pytest.mark.parametrize(("constant", "value"), [("STEPS", 0), ("TOLERANCE", -1.0)])
def test_an_unsolved_equation_is_an_error(
    constant: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_newton, constant, value)
    with pytest.raises(ConvergenceError, match=r"FairGrad did not solve .* \(condition number .*\)"):
        _newton.fair_weights(unit_gradients(GOLDEN @ GOLDEN.T), 2.0, "FairGrad")
