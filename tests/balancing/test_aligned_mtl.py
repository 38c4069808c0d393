"""AlignedMTL: what it aligns, torchjd, and lengths that are far apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import AlignedMTL as TorchjdAlignedMTL

from mtctl.balancing.aligned_mtl import AlignedMTL, alignment
from mtctl.balancing.contract import Array
from tests.balancing.cases import GOLDEN, STRUCTURED, drawn, seeded, signals, spread_out, update


def aligned(jacobian: Array) -> Array:
    """Gramian of the aligned gradients, in units of its largest entry."""
    rows = alignment(jacobian @ jacobian.T) @ jacobian
    return np.asarray(rows @ rows.T / np.square(rows).sum(1).max())


def test_golden_value() -> None:
    np.testing.assert_allclose(update(AlignedMTL(), GOLDEN), [0.2133, 0.9673, 0.9673], atol=5e-5)
    np.testing.assert_allclose(update(AlignedMTL(reduction="sum"), GOLDEN), 2 * update(AlignedMTL(), GOLDEN))


@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (3, 10), (10, 30), (40, 100)])
def test_torchjd_agrees(tasks: int, width: int) -> None:
    for seed in range(3):
        jacobian = drawn(tasks, width, seed)
        theirs = TorchjdAlignedMTL()(torch.from_numpy(jacobian))
        np.testing.assert_allclose(update(AlignedMTL(), jacobian), theirs, rtol=1e-9, atol=1e-10)


@given(tasks=st.integers(1, 10), seed=st.integers(0, 10_000), spread=st.sampled_from([1.0, 1e2, 1e6]))
@settings(max_examples=40, deadline=None)
def test_aligned_gradients_are_orthogonal_and_equally_long(tasks: int, seed: int, spread: float) -> None:
    np.testing.assert_allclose(aligned(spread_out(tasks, 30, spread, seed)), np.eye(tasks), atol=1e-8)


def test_short_gradients_are_not_lost_beside_long_ones() -> None:
    """Eigenvalues of G span 1e16 here, more than decomposing G itself can tell apart."""
    for seed in range(5):
        np.testing.assert_allclose(aligned(spread_out(3, 30, 1e8, seed)), np.eye(3), atol=1e-5)


def test_their_length_is_that_of_the_weakest_direction() -> None:
    jacobian = spread_out(4, 10, 1e3)
    rows = alignment(jacobian @ jacobian.T) @ jacobian
    weakest = np.linalg.svd(jacobian, compute_uv=False)[-1]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), weakest, rtol=1e-6)


@pytest.mark.parametrize("name", ["duplicate row", "opposite rows", "low rank", "zero row", "balanced"])
def test_of_gradients_that_depend_on_each_other_a_projection_is_left(name: str) -> None:
    jacobian = STRUCTURED[name]
    rows = alignment(jacobian @ jacobian.T) @ jacobian
    values = np.linalg.svd(rows, compute_uv=False)
    rank = np.linalg.matrix_rank(jacobian)
    np.testing.assert_allclose(values[:rank], np.linalg.svd(jacobian, compute_uv=False)[rank - 1], rtol=1e-6)
    np.testing.assert_allclose(values[rank:], 0.0, atol=1e-9)


def test_the_mean_is_over_the_active_tasks() -> None:
    seen = signals(drawn(3, 5), active=[True, False, True])
    mean, _ = AlignedMTL().weigh(seen, {}, seeded())
    total, _ = AlignedMTL(reduction="sum").weigh(seen, {}, seeded())
    np.testing.assert_allclose(2 * mean, total)
