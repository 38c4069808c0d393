"""DualProj against torchjd and its optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd._linalg import QuadprogProjector
from torchjd.aggregation import DualProj as TorchjdDualProj

from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array
from mtctl.balancing.dualproj import DualProj, kkt_residual
from tests.balancing.cases import GOLDEN, SCALES, STRUCTURED, drawn, seeded, signals, spread_out, update


def residual(jacobian: Array) -> float:
    unit = unit_gradients(jacobian @ jacobian.T)
    weights, _ = DualProj().weigh(signals(jacobian), {}, seeded())
    lengths = unit.lengths / unit.lengths.max()
    return float(kkt_residual(unit.cosines, lengths * unit.moving / len(jacobian), weights * lengths))


def test_golden_value() -> None:
    # The mean (1, 1, 1) without its part along (-4, 1, 1).
    np.testing.assert_allclose(update(DualProj(), GOLDEN), [5 / 9, 10 / 9, 10 / 9], rtol=1e-12)
    np.testing.assert_allclose(
        update(DualProj(reduction="sum"), GOLDEN), [10 / 9, 20 / 9, 20 / 9], rtol=1e-12
    )


@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (3, 10), (10, 30), (40, 100)])
def test_torchjd_agrees(tasks: int, width: int) -> None:
    """Without the blur (1e-4 of the Gramian's trace) that keeps their solver stable by default."""
    theirs = TorchjdDualProj(projector=QuadprogProjector(norm_eps=0.0, reg_eps=1e-13))
    for seed in range(3):
        jacobian = drawn(tasks, width, seed)
        expected = theirs(torch.from_numpy(jacobian))
        np.testing.assert_allclose(update(DualProj(), jacobian), expected, rtol=1e-7, atol=1e-9)


@given(tasks=st.integers(1, 30), width=st.integers(1, 30), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_optimality_conditions_hold(tasks: int, width: int, seed: int) -> None:
    assert residual(drawn(tasks, width, seed)) < 1e-9


@given(tasks=st.integers(2, 8), seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_no_harmless_step_is_nearer_to_the_mean(tasks: int, seed: int) -> None:
    jacobian = drawn(tasks, 10, seed)
    mean, step = jacobian.mean(0), update(DualProj(), jacobian)
    others = step + np.random.default_rng(seed).normal(scale=0.1, size=(300, 10))
    harmless = others[(others @ jacobian.T >= 0).all(1)]
    assert (np.linalg.norm(harmless - mean, axis=1) >= np.linalg.norm(step - mean) - 1e-9).all()


@pytest.mark.parametrize("spread", [1e2, 1e8, 1e16])
def test_gradients_of_very_different_lengths(spread: float) -> None:
    for tasks in (3, 40):
        assert residual(spread_out(tasks, 100, spread)) < 1e-12


@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_singular_gramians(jacobian: Array) -> None:
    for scale in SCALES:
        assert residual(jacobian * scale) < 1e-10, scale
