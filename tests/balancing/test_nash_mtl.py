"""Nash-MTL: the bargaining equation, identities, and where torchjd is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import NashMTL as TorchjdNashMTL

from mtctl.balancing.imtl_g import IMTLG
from mtctl.balancing.nash_mtl import NashMTL, kkt_residual
from tests.balancing.cases import GOLDEN, STRUCTURED, drawn, seeded, signals, spread_out, update


def test_golden_value() -> None:
    np.testing.assert_allclose(update(NashMTL(), GOLDEN), [0.0766, 0.9985, 0.9985], atol=5e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("tasks", "width", "seed"), [(2, 5, 0), (4, 6, 0), (10, 30, 0)])
def test_torchjd_agrees_on_gradients_of_like_lengths(tasks: int, width: int, seed: int) -> None:
    """On these: the official solver, a sequence of convex programs, now and then ends elsewhere."""
    jacobian = drawn(tasks, width, seed)
    theirs = TorchjdNashMTL(tasks, max_norm=0.0)(torch.from_numpy(jacobian))
    np.testing.assert_allclose(update(NashMTL(), jacobian), theirs, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_torchjd_is_wrong_on_gradients_of_different_lengths() -> None:
    """At a spread of 1000 theirs misses the equation that defines the method, and ours does not."""
    jacobian = drawn(3, 10, 1) * np.array([[1e-3], [1.0], [1e3]])
    gramian = jacobian @ jacobian.T
    ours, _ = NashMTL().weigh(signals(jacobian), {}, seeded())
    torchjd = TorchjdNashMTL(3, max_norm=0.0).weighting(torch.from_numpy(jacobian)).numpy()
    assert kkt_residual(gramian, ours) < 1e-9
    assert kkt_residual(gramian, torchjd) > 1e-2


@given(tasks=st.integers(1, 10), seed=st.integers(0, 10_000), spread=st.sampled_from([1.0, 1e4, 1e8]))
@settings(max_examples=30, deadline=None)
def test_the_update_is_as_long_as_the_root_of_the_tasks(tasks: int, seed: int, spread: float) -> None:
    jacobian = spread_out(tasks, 20, spread, seed)
    assert np.linalg.norm(update(NashMTL(), jacobian)) == pytest.approx(tasks**0.5, rel=1e-6)


@given(seed=st.integers(0, 10_000), width=st.integers(2, 8), spread=st.sampled_from([1.0, 1e3, 1e6]))
@settings(max_examples=30, deadline=None)
def test_two_tasks_are_in_the_direction_of_imtl_g(seed: int, width: int, spread: float) -> None:
    jacobian = spread_out(2, width, spread, seed)
    one, other = update(NashMTL(), jacobian), update(IMTLG(), jacobian)
    assert one @ other == pytest.approx(np.linalg.norm(one) * np.linalg.norm(other), rel=1e-6)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_no_step_of_its_length_has_a_larger_product_of_improvements(seed: int) -> None:
    jacobian, rng = drawn(4, 6, seed), np.random.default_rng(seed)
    best = update(NashMTL(), jacobian)
    others = best + rng.normal(scale=0.3, size=(200, 6))
    others *= np.linalg.norm(best) / np.linalg.norm(others, axis=1, keepdims=True)
    improvements = others @ jacobian.T
    products = np.where((improvements > 0).all(1), improvements.prod(1), 0.0)
    assert products.max() <= (jacobian @ best).prod() * (1 + 1e-9)


def test_an_update_is_shortened_to_the_largest_norm_and_never_stretched() -> None:
    jacobian = drawn(4, 6)
    free = update(NashMTL(), jacobian)
    np.testing.assert_allclose(update(NashMTL(max_norm=1.0), jacobian), free / 2.0, rtol=1e-9)
    np.testing.assert_allclose(update(NashMTL(max_norm=3.0), jacobian), free, rtol=1e-12)


def test_tasks_in_full_conflict_leave_the_bargain_to_the_others() -> None:
    jacobian = STRUCTURED["opposite rows"]
    step = update(NashMTL(), jacobian)
    assert abs(jacobian[0] @ step) < 1e-4 * np.linalg.norm(jacobian[0])
    assert jacobian[1] @ step > 0.1 * np.linalg.norm(jacobian[1])
