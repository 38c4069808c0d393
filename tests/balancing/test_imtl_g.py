"""IMTL-G: equal projections, torchjd, and what a sum of 0 is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import IMTLG as TorchjdIMTLG

from mtctl.balancing.contract import ConvergenceError
from mtctl.balancing.imtl_g import IMTLG, equal_projections
from tests.balancing.cases import GOLDEN, STRUCTURED, drawn, spread_out, update


def test_golden_value() -> None:
    np.testing.assert_allclose(update(IMTLG(), GOLDEN), [0.0767, 1.0, 1.0], atol=5e-5)


@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (3, 10), (10, 30), (40, 100)])
def test_torchjd_agrees(tasks: int, width: int) -> None:
    for seed in range(3):
        jacobian = drawn(tasks, width, seed)
        theirs = TorchjdIMTLG()(torch.from_numpy(jacobian))
        np.testing.assert_allclose(update(IMTLG(), jacobian), theirs, rtol=1e-9, atol=1e-10)


@given(tasks=st.integers(1, 10), seed=st.integers(0, 10_000), spread=st.sampled_from([1.0, 1e2, 1e8, 1e16]))
@settings(max_examples=50, deadline=None)
def test_projections_are_equal_and_weights_sum_to_one(tasks: int, seed: int, spread: float) -> None:
    jacobian = spread_out(tasks, 30, spread, seed)
    weights = equal_projections(jacobian @ jacobian.T)
    lengths = np.linalg.norm(jacobian, axis=1)
    # Each unit gradient's product with d, of which rounding takes a part of what is added up.
    parts = np.abs(weights) * lengths
    cosines = jacobian @ jacobian.T / lengths / lengths[:, None]
    projections = cosines @ (weights * lengths)
    np.testing.assert_allclose(projections, projections.mean(), atol=1e-11 * parts.sum())
    assert weights.sum() == pytest.approx(1.0, abs=1e-9 * np.abs(weights).sum())


#: Unit gradients in a narrow fan; the one in the middle needs a negative weight.
FAN = np.array([[1.0, 0.5, 0.0], [1.0, 0.0, 0.05], [1.0, -0.5, 0.0]])
FAN /= np.linalg.norm(FAN, axis=1, keepdims=True)


def test_a_short_gradient_may_turn_every_task_uphill() -> None:
    jacobian = FAN * np.array([[1.0], [0.5], [1.0]])
    weights = equal_projections(jacobian @ jacobian.T)
    assert weights.sum() == pytest.approx(1.0)
    assert ((jacobian @ (weights @ jacobian)) < 0).all()


def test_gradients_that_add_up_to_nothing_have_no_update() -> None:
    assert equal_projections(STRUCTURED["balanced"] @ STRUCTURED["balanced"].T).tolist() == [0.0] * 3


def test_weights_that_sum_to_nothing_are_an_error() -> None:
    v = np.linalg.solve(FAN @ FAN.T, np.ones(3))
    jacobian = FAN * np.array([[1.0], [-v[1] / (v[0] + v[2])], [1.0]])
    batch = np.stack([np.eye(3), jacobian @ jacobian.T])
    with pytest.raises(ConvergenceError, match="IMTL-G"):
        equal_projections(batch)
