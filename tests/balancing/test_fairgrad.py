"""FairGrad: its equation, identities and torchjd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import FairGrad as TorchjdFairGrad

from mtctl.balancing.fairgrad import FairGrad, kkt_residual
from mtctl.balancing.nash_mtl import NashMTL
from tests.balancing.cases import GOLDEN, drawn, seeded, signals, spread_out, update


def test_golden_value() -> None:
    np.testing.assert_allclose(update(FairGrad(), GOLDEN), [0.0766, 0.9985, 0.9985], atol=5e-5)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (4, 6), (10, 30)])
def test_torchjd_agrees(tasks: int, width: int, alpha: float) -> None:
    for seed in range(2):
        jacobian = drawn(tasks, width, seed)
        theirs = TorchjdFairGrad(alpha=alpha)(torch.from_numpy(jacobian))
        np.testing.assert_allclose(update(FairGrad(alpha=alpha), jacobian), theirs, rtol=1e-6, atol=1e-7)


@given(tasks=st.integers(1, 8), seed=st.integers(0, 10_000), spread=st.sampled_from([1.0, 1e4, 1e8]))
@settings(max_examples=30, deadline=None)
def test_alpha_one_is_nash(tasks: int, seed: int, spread: float) -> None:
    jacobian = spread_out(tasks, 12, spread, seed)
    fair, _ = FairGrad(alpha=1.0).weigh(signals(jacobian), {}, seeded())
    nash, _ = NashMTL().weigh(signals(jacobian), {}, seeded())
    assert np.array_equal(fair, nash)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("tasks", [4, 40])
def test_the_equation_holds(tasks: int, alpha: float) -> None:
    for seed in range(3):
        jacobian = drawn(tasks, 100, seed)
        weights, _ = FairGrad(alpha=alpha).weigh(signals(jacobian), {}, seeded())
        assert kkt_residual(jacobian @ jacobian.T, weights, alpha) < 1e-7


def test_orthogonal_gradients_of_any_length() -> None:
    """Each task alone: w·‖g‖² = w^(−1/α)."""
    lengths = np.array([1e-8, 1e-3, 1.0, 1e8])
    for alpha in (0.5, 1.0, 2.0):
        weights, _ = FairGrad(alpha=alpha).weigh(signals(np.diag(lengths)), {}, seeded())
        np.testing.assert_allclose(weights, lengths ** (-2 * alpha / (1 + alpha)), rtol=1e-9)


def test_a_larger_alpha_gives_the_worst_task_more() -> None:
    jacobian = drawn(3, 6, 4) * np.array([[1.0], [3.0], [0.3]])
    shares = []
    for alpha in (0.5, 1.0, 2.0, 4.0):
        improvements = jacobian @ update(FairGrad(alpha=alpha), jacobian)
        shares.append(improvements.min() / improvements.sum())
    assert shares == sorted(shares)
    assert shares[-1] > 1.5 * shares[0]
