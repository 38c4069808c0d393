"""ConFIG through the Gramian against its pseudo-inverse form, torchjd and the authors' own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conflictfree.grad_operator import ConFIG_update
from conflictfree.weight_model import WeightModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchjd.aggregation import ConFIG as TorchjdConFIG

from mtctl.balancing.config import ConFIG
from mtctl.balancing.imtl_g import IMTLG
from tests.balancing.cases import GOLDEN, STRUCTURED, drawn, spread_out, update


class Ones(WeightModel):  # type: ignore[misc]
    """Equal weights in the precision of the gradients; the authors' own are always in single precision."""

    def get_weights(self, gradients: Tensor, losses: object, device: object) -> Tensor:
        return torch.ones(len(gradients), dtype=gradients.dtype)


def test_golden_value() -> None:
    np.testing.assert_allclose(update(ConFIG(), GOLDEN), [0.1588, 2.0706, 2.0706], atol=5e-5)


@pytest.mark.parametrize(("tasks", "width"), [(2, 5), (3, 10), (10, 30), (40, 100)])
def test_torchjd_and_the_authors_agree(tasks: int, width: int) -> None:
    for seed in range(3):
        jacobian = drawn(tasks, width, seed)
        ours, matrix = update(ConFIG(), jacobian), torch.from_numpy(jacobian)
        np.testing.assert_allclose(ours, TorchjdConFIG()(matrix), rtol=1e-9, atol=1e-10)
        authors = ConFIG_update(matrix, weight_model=Ones())
        np.testing.assert_allclose(ours, authors, rtol=1e-9, atol=1e-10)


@given(tasks=st.integers(1, 10), seed=st.integers(0, 10_000), spread=st.sampled_from([1.0, 1e4, 1e8, 1e16]))
@settings(max_examples=40, deadline=None)
def test_angles_are_equal_and_acute(tasks: int, seed: int, spread: float) -> None:
    jacobian = spread_out(tasks, 20, spread, seed)
    step = update(ConFIG(), jacobian)
    cosines = jacobian @ step / np.linalg.norm(jacobian, axis=1) / np.linalg.norm(step)
    assert cosines.min() > 0
    np.testing.assert_allclose(cosines, cosines.mean(), rtol=1e-6)
    # As long as all projections together.
    assert np.linalg.norm(step) == pytest.approx(cosines @ np.linalg.norm(jacobian, axis=1), rel=1e-6)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_it_is_on_the_line_of_imtl_g(seed: int) -> None:
    jacobian = spread_out(4, 8, 10.0, seed)
    one, other = update(ConFIG(), jacobian), update(IMTLG(), jacobian)
    assert abs(one @ other) == pytest.approx(np.linalg.norm(one) * np.linalg.norm(other), rel=1e-6)


def test_gradients_that_add_up_to_nothing_have_no_update() -> None:
    assert update(ConFIG(), STRUCTURED["balanced"]).tolist() == [0.0, 0.0]
