"""Adaptive scaling: the documented example with its arithmetic put right, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from mtctl.balancing.adaptive_scaling import AdaptiveScaling
from mtctl.balancing.contract import Array, Signals, observe
from tests.balancing.cases import by_task, steps

NORMS, BASE = np.array([5.2, 0.8]), (0.7, 0.3)


def step(norms: ArrayLike, active: ArrayLike = True) -> Signals:
    values = np.asarray(norms, dtype=np.float64)
    return observe(np.ones_like(values), np.broadcast_to(np.asarray(active), values.shape).copy(), values)


def documented(norms: Array, base: Array, target: float, momentum: float, least: float, most: float) -> Array:
    """Weights at every step without warm-up, as the rule is written down; the average begins without bias."""
    sums, counts, weights = np.zeros(norms.shape[1]), 0.0, []
    for now in norms:
        sums, counts = momentum * sums + (1 - momentum) * now, momentum * counts + (1 - momentum)
        scaled = base * np.clip(target / (sums / counts), least, most)
        weights.append(scaled / scaled.sum())
    return np.array(weights)


@pytest.mark.parametrize(
    ("target", "momentum", "least", "most"),
    [(1.0, 0.9, 0.1, 10.0), (0.5, 0.95, 0.2, 5.0), (2.0, 0.8, 0.05, 20)],
)
def test_it_is_the_documented_rule(target: float, momentum: float, least: float, most: float) -> None:
    norms = 10 ** np.random.default_rng(0).uniform(-2, 2, size=(20, 3))
    base = (0.2, 0.5, 0.3)
    method = AdaptiveScaling(
        target=target, momentum=momentum, min_scale=least, max_scale=most, base_weights=by_task(base)
    )
    weights, _ = steps(method, [step(now) for now in norms])
    expected = documented(norms, np.array(base), target, momentum, least, most)
    np.testing.assert_allclose(weights, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (AdaptiveScaling(), (1.0, 0.9, 1e-6, 1e6)),
        (AdaptiveScaling(preset="conservative"), (0.5, 0.95, 0.2, 5.0)),
        (AdaptiveScaling(preset="aggressive", momentum=0.0, max_scale=30.0), (2.0, 0.0, 0.05, 30.0)),
        (AdaptiveScaling(preset="off"), (1.0, 0.9, 1.0, 1.0)),
    ],
)
def test_a_preset_sets_what_is_not_given(method: AdaptiveScaling, settings: tuple[float, ...]) -> None:
    assert method.settings == settings


@pytest.mark.parametrize(
    ("mode", "weights", "weighted_norms"),
    [
        ("preserve_importance", [14 / 53, 39 / 53], [1.374, 0.589]),
        ("equalise", [2 / 15, 13 / 15], [0.693, 0.693]),
    ],
)
def test_the_documented_example(mode: str, weights: list[float], weighted_norms: list[float]) -> None:
    method = AdaptiveScaling(mode=mode, base_weights=by_task(BASE), warmup_steps=0)  # type: ignore[arg-type]
    found, _ = steps(method, [step(NORMS)] * 3)
    for now in found:
        np.testing.assert_allclose(now, weights, rtol=1e-12)
        np.testing.assert_allclose(now * NORMS, weighted_norms, atol=5e-4)


def test_importance_is_the_ratio_of_the_weighted_norms() -> None:
    (weights,), _ = steps(AdaptiveScaling(base_weights=by_task(BASE), warmup_steps=0), [step(NORMS)])
    weighted = weights * NORMS
    assert weighted[0] / weighted[1] == pytest.approx(7 / 3)


@pytest.mark.parametrize("target", [0.85, 1.0, 4.0])
def test_the_target_cancels_where_no_bound_is_reached(target: float) -> None:
    (weights,), _ = steps(
        AdaptiveScaling(target=target, base_weights=by_task(BASE), warmup_steps=0), [step(NORMS)]
    )
    np.testing.assert_allclose(weights, [14 / 53, 39 / 53], rtol=1e-12)


@pytest.mark.parametrize(
    ("norms", "scales"), [([15.0, 0.2], [0.1, 5.0]), ([0.1, 0.05], [10.0, 10.0])], ids=["far apart", "small"]
)
def test_bounds_hold(norms: list[float], scales: list[float]) -> None:
    (weights,), _ = steps(AdaptiveScaling(mode="equalise", min_scale=0.1, max_scale=10.0), [step(norms)])
    np.testing.assert_allclose(weights, np.array(scales) / np.sum(scales), rtol=1e-9)


def test_norms_all_beyond_a_bound_are_not_told_apart() -> None:
    narrow = AdaptiveScaling(mode="equalise", min_scale=0.1, max_scale=10.0)
    (weights,), _ = steps(narrow, [step([20.0, 200.0])])
    np.testing.assert_allclose(weights, [0.5, 0.5])
    (weights,), _ = steps(narrow.model_copy(update={"target": 60.0}), [step([20.0, 200.0])])
    np.testing.assert_allclose(weights, [10 / 11, 1 / 11])


@pytest.mark.parametrize("norms", [[1.0, 1000.0], [2e-5, 30.0], [20.0, 200.0, 4e5]])
def test_norms_of_any_usual_size_are_balanced_from_the_first_step_on(norms: list[float]) -> None:
    (weights,), _ = steps(AdaptiveScaling(), [step(norms)])
    np.testing.assert_allclose(weights * norms, (weights * norms)[0], rtol=1e-9)


def test_base_weights_alone_until_every_task_is_warm() -> None:
    method = AdaptiveScaling(base_weights=by_task((2.0, 1.0, 1.0)), warmup_steps=2)
    both, three = [True, True, False], [True, True, True]
    seen = [step([5.2, 0.8, 1.0], both)] * 3 + [step([5.2, 0.8, 1.0], three)] * 3
    weights, _ = steps(method, seen)
    np.testing.assert_allclose(weights[:2], [[2 / 3, 1 / 3, 0.0]] * 2)
    assert weights[2][0] < 0.5
    np.testing.assert_allclose(weights[3:5], [[0.5, 0.25, 0.25]] * 2)
    assert weights[5][0] < 0.25


def test_equal_bounds_leave_the_base_weights() -> None:
    method = AdaptiveScaling(min_scale=1.0, max_scale=1.0, base_weights=by_task(BASE), warmup_steps=0)
    weights, _ = steps(method, [step([1e-9, 1e9])] * 3)
    np.testing.assert_allclose(weights, [BASE] * 3)


def test_a_task_without_gradient_does_not_take_the_sum_from_the_others() -> None:
    weights, _ = steps(AdaptiveScaling(warmup_steps=1), [step([1.0, 0.0, 1.0])] * 2)
    np.testing.assert_allclose(weights, [[1 / 3] * 3, [0.5, 0.0, 0.5]])


@pytest.mark.parametrize("mode", ["preserve_importance", "equalise"])
def test_a_base_weight_of_zero_is_no_weight(mode: str) -> None:
    method = AdaptiveScaling(mode=mode, base_weights=by_task((0.0, 1.0, 1.0)), warmup_steps=0)  # type: ignore[arg-type]
    (weights,), _ = steps(method, [step([1.0, 1.0, 1.0])])
    assert weights.tolist() == [0.0, 0.5, 0.5]
    (alone,), _ = steps(method, [step([1.0, 1.0, 1.0], [True, False, False])])
    assert alone.tolist() == [0.0, 0.0, 0.0]
