"""UPGrad against torchjd, PCGrad and the optimality conditions of its projections."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd._linalg import QuadprogProjector
from torchjd.aggregation import UPGrad as TorchjdUPGrad

from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array
from mtctl.balancing.dualproj import kkt_residual
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.upgrad import UPGrad, problems, project_each
from tests.balancing.cases import GOLDEN, SCALES, STRUCTURED, drawn, seeded, signals, spread_out, update


def residual(jacobian: Array) -> float:
    cosines = unit_gradients(jacobian @ jacobian.T).cosines
    return float(kkt_residual(*problems(cosines), project_each(cosines)).max())


def test_golden_value() -> None:
    # Known to three digits from a solver that blurs the Gramian.
    np.testing.assert_allclose(update(UPGrad(), GOLDEN), [0.2929, 1.9004, 1.9004], atol=1e-3)
    np.testing.assert_allclose(update(UPGrad(reduction="sum"), GOLDEN), update(PCGrad(), GOLDEN), rtol=1e-12)


@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (3, 10), (10, 30), (40, 100)])
def test_torchjd_agrees(tasks: int, width: int) -> None:
    """Without the blur (1e-4 of the Gramian's trace) that keeps their solver stable by default."""
    theirs = TorchjdUPGrad(projector=QuadprogProjector(norm_eps=0.0, reg_eps=1e-13))
    for seed in range(3):
        jacobian = drawn(tasks, width, seed)
        expected = theirs(torch.from_numpy(jacobian))
        np.testing.assert_allclose(update(UPGrad(), jacobian), expected, rtol=1e-7, atol=1e-9)


@given(seed=st.integers(0, 10_000), width=st.integers(2, 6), spread=st.sampled_from([1.0, 1e4]))
@settings(max_examples=30, deadline=None)
def test_two_tasks_are_pcgrad(seed: int, width: int, spread: float) -> None:
    jacobian = spread_out(2, width, spread, seed)
    expected = update(PCGrad(), jacobian)
    np.testing.assert_allclose(
        update(UPGrad(reduction="sum"), jacobian), expected, rtol=1e-9, atol=1e-9 * spread**0.5
    )


@given(tasks=st.integers(1, 12), width=st.integers(1, 20), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_optimality_conditions_hold(tasks: int, width: int, seed: int) -> None:
    assert residual(drawn(tasks, width, seed)) < 1e-9


@pytest.mark.parametrize("spread", [1e2, 1e8, 1e16])
def test_gradients_of_very_different_lengths(spread: float) -> None:
    for tasks in (3, 20):
        assert residual(spread_out(tasks, 50, spread)) < 1e-12


@pytest.mark.parametrize("jacobian", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_singular_gramians(jacobian: Array) -> None:
    for scale in SCALES:
        assert residual(jacobian * scale) < 1e-10, scale


def test_a_longer_gradient_gets_a_longer_part_of_the_same_direction() -> None:
    jacobian = drawn(3, 5)
    parts = [update(UPGrad(), jacobian * np.eye(3)[[task]].T + 1e-9 * jacobian) for task in range(3)]
    whole = update(UPGrad(), jacobian * np.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_allclose(whole, parts[0] + 2 * parts[1] + 3 * parts[2], atol=1e-6)


def test_without_conflict_it_is_the_mean_of_the_active_tasks() -> None:
    weights, _ = UPGrad().weigh(signals(STRUCTURED["aligned"], active=[True, False, True]), {}, seeded())
    assert weights.tolist() == [0.5, 0.0, 0.5]
