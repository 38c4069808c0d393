"""Gradients taken apart into directions and lengths, and which of them depend on others."""

from __future__ import annotations

import numpy as np
import pytest

from mtctl.balancing._spectrum import equiangular, spectrum
from mtctl.balancing._unit import condition, unit_gradients
from tests.balancing.cases import SCALES, STRUCTURED, drawn


@pytest.mark.parametrize("scale", SCALES)
def test_directions_and_lengths_make_the_gramian(scale: float) -> None:
    jacobian = scale * drawn(4, 6)
    gramian = jacobian @ jacobian.T
    unit = unit_gradients(gramian)
    np.testing.assert_allclose(unit.lengths, np.linalg.norm(jacobian, axis=1), rtol=1e-12)
    np.testing.assert_allclose(unit.cosines * unit.lengths * unit.lengths[:, None], gramian, rtol=1e-12)
    assert unit.moving.all()


def test_a_gradient_of_zero_has_no_direction_and_can_be_divided_by() -> None:
    unit = unit_gradients(np.diag([4.0, 0.0, 9.0]))
    assert unit.moving.tolist() == [True, False, True]
    assert unit.lengths.tolist() == [2.0, 3.0, 3.0]
    assert np.array_equal(unit.cosines, np.diag([1.0, 0.0, 1.0]))
    assert condition(unit.cosines) == 1.0
    nothing = unit_gradients(np.zeros((2, 3, 3)))
    assert (nothing.lengths == 1).all()
    assert not nothing.moving.any()


@pytest.mark.parametrize(
    "name", ["free", "zero row", "duplicate row", "opposite rows", "low rank", "balanced"]
)
def test_as_many_eigenvalues_as_independent_gradients(name: str) -> None:
    jacobian = STRUCTURED[name]
    values, _ = spectrum(unit_gradients(jacobian @ jacobian.T).cosines)
    assert np.count_nonzero(values) == np.linalg.matrix_rank(jacobian)


def test_rounding_of_a_gramian_formed_in_single_precision_is_not_an_eigenvalue() -> None:
    for seed in range(20):
        jacobian = drawn(12, 4, seed).astype(np.float32)
        values, _ = spectrum(unit_gradients((jacobian @ jacobian.T).astype(np.float64)).cosines)
        assert np.count_nonzero(values) == 4


def test_equal_products_with_all_gradients() -> None:
    jacobian = drawn(5, 8)
    unit = unit_gradients(jacobian @ jacobian.T)
    np.testing.assert_allclose(unit.cosines @ equiangular(unit), np.ones(5), rtol=1e-10)
