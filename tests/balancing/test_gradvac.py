"""GradVac on coefficients against GradVac on gradients, PCGrad and torchjd."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import GradVac as TorchjdGradVac

from mtctl.balancing._unit import unit_gradients
from mtctl.balancing.contract import Array
from mtctl.balancing.gradvac import GradVac, vaccinate
from mtctl.balancing.pcgrad import PCGrad
from tests.balancing.cases import (
    GOLDEN,
    STRUCTURED,
    any_order,
    drawn,
    names,
    seeded,
    signals,
    spread_out,
    steps,
    update,
)


def literal(jacobian: Array, targets: Array, beta: float, order: np.ndarray) -> tuple[Array, Array]:
    """The paper's algorithm: gradients [T, P] and the next targets [T, T]."""
    moved, targets = jacobian.copy(), targets.copy()
    for i, others in enumerate(order):
        for j in others[others != i]:
            own, other = np.linalg.norm(moved[i]), np.linalg.norm(jacobian[j])
            cosine, target = moved[i] @ jacobian[j] / own / other, targets[i, j]
            if cosine < target:
                factor = target * np.sqrt(1 - cosine**2) - cosine * np.sqrt(1 - target**2)
                moved[i] += own * factor / (other * np.sqrt(1 - target**2)) * jacobian[j]
            targets[i, j] = (1 - beta) * target + beta * cosine
    return moved, targets


def test_golden_value() -> None:
    np.testing.assert_allclose(update(GradVac(), GOLDEN), [0.5848, 3.8012, 3.8012], atol=5e-5)


@given(tasks=st.integers(1, 7), seed=st.integers(0, 10_000), spread=st.sampled_from([1.0, 1e8]))
@settings(max_examples=30, deadline=None)
def test_fresh_it_is_pcgrad(tasks: int, seed: int, spread: float) -> None:
    seen = signals(spread_out(tasks, 8, spread, seed))
    method = GradVac()
    ours, _ = method.weigh(seen, method.init(names(tasks)), seeded(seed))
    theirs, _ = PCGrad().weigh(seen, {}, seeded(seed))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@given(tasks=st.integers(2, 6), seed=st.integers(0, 10_000), beta=st.sampled_from([0.01, 0.5]))
@settings(max_examples=40, deadline=None)
def test_coefficients_give_the_paper_s_gradients(tasks: int, seed: int, beta: float) -> None:
    jacobian, order = drawn(tasks, 10, seed), any_order(tasks, seed)
    targets = np.random.default_rng(seed).uniform(-0.5, 0.9, size=(tasks, tasks))
    unit = unit_gradients(jacobian @ jacobian.T)
    coefficients, after = vaccinate(unit, targets, beta, order)
    moved, expected = literal(jacobian, targets, beta, order)
    rows = unit.lengths[:, None] * coefficients / unit.lengths @ jacobian
    np.testing.assert_allclose(rows, moved, rtol=1e-6, atol=1e-8 * np.abs(moved).max())
    np.testing.assert_allclose(after, expected, atol=1e-8)


def test_torchjd_agrees_over_many_steps_of_two_tasks() -> None:
    theirs = TorchjdGradVac(beta=0.3, eps=0.0)
    jacobians = [drawn(2, 6, seed) + 0.5 for seed in range(20)]
    ours, _ = steps(GradVac(beta=0.3), [signals(jacobian) for jacobian in jacobians])
    for weights, jacobian in zip(ours, jacobians, strict=True):
        np.testing.assert_allclose(weights @ jacobian, theirs(torch.from_numpy(jacobian)), rtol=1e-9)


def test_a_pair_that_is_apart_neither_moves_nor_learns() -> None:
    jacobian = drawn(3, 5)
    _, together = steps(GradVac(beta=0.5), [signals(jacobian)] * 3)
    _, apart = steps(
        GradVac(beta=0.5),
        [signals(jacobian)] * 3 + [signals(-jacobian, active=[True, False, False])] * 4,
    )
    assert np.array_equal(together["target_cosines"], apart["target_cosines"])


def test_targets_approach_the_usual_cosine() -> None:
    jacobian = STRUCTURED["aligned"]
    _, state = steps(GradVac(beta=0.2), [signals(jacobian)] * 100)
    cosines = unit_gradients(jacobian @ jacobian.T).cosines
    targets = state["target_cosines"].reshape(3, 3)
    np.testing.assert_allclose(targets[~np.eye(3, dtype=bool)], cosines[~np.eye(3, dtype=bool)], rtol=1e-6)
    assert (targets.diagonal() == 0).all()


def test_copies_that_part_are_brought_together_by_a_finite_step() -> None:
    method, copies = GradVac(beta=1.0), np.array([[1.0, 0.0], [1.0, 0.0]])
    weights, _ = steps(method, [signals(copies)] * 3 + [signals(np.eye(2))])
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights[-1], 1 + 1 / np.sqrt(2e-6), rtol=1e-3)
