"""PCGrad on coefficients against PCGrad on gradients, torchjd and the paper's guarantees."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import PCGrad as TorchjdPCGrad

from mtctl.balancing.contract import Array
from mtctl.balancing.pcgrad import PCGrad, project
from tests.balancing.cases import GOLDEN, SCALES, STRUCTURED, any_order, drawn, seeded, signals


def literal(jacobian: Array, order: np.ndarray) -> Array:
    """The paper's algorithm: projected gradients [T, P]."""
    projected = jacobian.copy()
    for i, others in enumerate(order):
        for j in others:
            inner = projected[i] @ jacobian[j]
            if j != i and inner < 0:
                projected[i] -= inner / (jacobian[j] @ jacobian[j]) * jacobian[j]
    return projected


def test_golden_value() -> None:
    weights, _ = PCGrad().weigh(signals(GOLDEN), {}, seeded())
    np.testing.assert_allclose(weights @ GOLDEN, [0.5848, 3.8012, 3.8012], atol=5e-5)


@given(tasks=st.integers(1, 8), width=st.integers(1, 8), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_coefficients_give_the_projected_gradients(tasks: int, width: int, seed: int) -> None:
    jacobian, order = drawn(tasks, width, seed), any_order(tasks, seed)
    coefficients = project(jacobian @ jacobian.T, order)
    # Rounding may turn a projection of size 0 into one of size 1e-16, never more.
    np.testing.assert_allclose(coefficients @ jacobian, literal(jacobian, order), atol=1e-9)


def test_torchjd_agrees_in_every_order(monkeypatch: pytest.MonkeyPatch) -> None:
    jacobian = STRUCTURED["balanced"] + 0.1 * drawn(3, 2)
    for order in product(permutations(range(3)), repeat=3):
        remaining = iter(order)
        monkeypatch.setattr(torch, "randperm", lambda _, left=remaining: torch.tensor(next(left)))
        theirs = TorchjdPCGrad()(torch.from_numpy(jacobian))
        ours = project(jacobian @ jacobian.T, np.array(order)).sum(0) @ jacobian
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@given(seed=st.integers(0, 10_000), width=st.integers(1, 6), scale=st.sampled_from(SCALES))
@settings(max_examples=30, deadline=None)
def test_torchjd_agrees_on_two_tasks(seed: int, width: int, scale: float) -> None:
    jacobian = scale * drawn(2, width, seed)
    weights, _ = PCGrad().weigh(signals(jacobian), {}, seeded(seed))
    theirs = TorchjdPCGrad()(torch.from_numpy(jacobian))
    np.testing.assert_allclose(weights @ jacobian, theirs, rtol=1e-9, atol=1e-12 * scale)


@given(seed=st.integers(0, 10_000), scale=st.sampled_from(SCALES))
@settings(max_examples=30, deadline=None)
def test_two_tasks_never_conflict_with_the_update(seed: int, scale: float) -> None:
    jacobian = scale * drawn(2, 3, seed)
    weights, _ = PCGrad().weigh(signals(jacobian), {}, seeded())
    assert (jacobian @ (weights @ jacobian) >= -1e-12 * scale**2).all()


@given(tasks=st.integers(2, 6), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_renumbering_the_tasks_renumbers_the_coefficients(tasks: int, seed: int) -> None:
    jacobian, order = drawn(tasks, 3, seed), any_order(tasks, seed)
    turn = np.random.default_rng(seed + 1).permutation(tasks)
    back = np.argsort(turn)
    straight = project(jacobian @ jacobian.T, order)
    turned = project(jacobian[turn] @ jacobian[turn].T, back[order[turn]])
    np.testing.assert_allclose(turned, straight[turn][:, turn], rtol=1e-9, atol=1e-12)


def test_without_conflict_it_is_the_sum() -> None:
    weights, _ = PCGrad().weigh(signals(STRUCTURED["aligned"]), {}, seeded())
    assert weights.tolist() == [1.0, 1.0, 1.0]


def test_one_member_of_a_batch_in_conflict_does_not_touch_the_others() -> None:
    batch = np.stack([STRUCTURED["aligned"], STRUCTURED["opposite rows"]])
    weights, _ = PCGrad().weigh(signals(batch), {}, seeded())
    assert weights[0].tolist() == [1.0, 1.0, 1.0]
    assert weights[1].tolist() != [1.0, 1.0, 1.0]


@pytest.mark.parametrize("active", [[True, True, True], [True, False, True]])
def test_the_mean_divides_by_the_active_tasks(active: list[bool]) -> None:
    seen = signals(STRUCTURED["free"], active=active)
    total, _ = PCGrad(reduction="sum").weigh(seen, {}, seeded())
    mean, _ = PCGrad(reduction="mean").weigh(seen, {}, seeded())
    np.testing.assert_allclose(mean, total / sum(active))


def test_no_task_is_projected_against_itself() -> None:
    # Turned by 80° twice, the first gradient ends up in conflict with what it was.
    angles = np.radians([0.0, 170.0, 250.0])
    jacobian = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order = np.array([[1, 2, 0]] * 3)
    coefficients = project(jacobian @ jacobian.T, order)
    assert (coefficients @ jacobian @ jacobian.T)[0, 0] < 0
    assert coefficients[0, 0] == 1.0
    np.testing.assert_allclose(coefficients @ jacobian, literal(jacobian, order), atol=1e-12)


def test_opposite_gradients_cancel() -> None:
    weights, _ = PCGrad().weigh(signals(np.array([[2.0, 0.0], [-1.0, 0.0]])), {}, seeded())
    np.testing.assert_allclose(weights @ np.array([2.0, -1.0]), 0.0, atol=1e-15)


def test_a_gradient_too_small_to_divide_by_counts_as_zero() -> None:
    weights, _ = PCGrad().weigh(signals(np.array([[1.0, 0.0], [-1e-160, 0.0]])), {}, seeded())
    assert weights[0] == 1.0
    assert np.isfinite(weights).all()


def test_every_task_draws_its_own_order_anew_at_each_step() -> None:
    seen = signals(STRUCTURED["balanced"] + 0.1 * drawn(3, 2))
    one_order = {
        tuple(project(seen.gramian, np.array([order] * 3)).sum(0).round(12))
        for order in permutations(range(3))
    }
    every_order = {
        tuple(project(seen.gramian, np.array(order)).sum(0).round(12))
        for order in product(permutations(range(3)), repeat=3)
    }
    rng = seeded()
    drawn_weights = {tuple(PCGrad().weigh(seen, {}, rng)[0].round(12)) for _ in range(300)}
    assert one_order < every_order
    assert drawn_weights == every_order
