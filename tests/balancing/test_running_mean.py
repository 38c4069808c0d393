"""The running-mean normaliser against a direct transcription of its documented rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from mtctl.balancing.contract import Array, SignalError, Signals, observe
from mtctl.balancing.running_mean import RunningMean
from tests.balancing.cases import by_task, steps


def step(losses: ArrayLike, active: Sequence[bool] = (True, True, True)) -> Signals:
    return observe(np.asarray(losses, dtype=np.float64), np.array(active))


def documented(losses: Array, momentum: float, warmup: int) -> Array:
    """Factors of the losses [steps, T]: one task and one step at a time, as the rule is written down."""
    factors, means = np.empty_like(losses), [0.0] * losses.shape[1]
    for n, now in enumerate(losses, 1):
        for task, loss in enumerate(now):
            if n > warmup:
                means[task] = momentum * means[task] + (1 - momentum) * loss
            else:
                means[task] = (means[task] * (n - 1) + loss) / n
            factors[n - 1, task] = 1 / means[task] if means[task] > 1e-8 else 1.0
    return factors


@given(
    losses=st.lists(st.tuples(*[st.just(0.0) | st.floats(1e-3, 1e3)] * 3), min_size=1, max_size=30),
    momentum=st.sampled_from([0.0, 0.3, 0.95, 0.999]),
    warmup=st.integers(1, 12),
)
def test_it_is_the_documented_rule(losses: list[tuple[float, ...]], momentum: float, warmup: int) -> None:
    weights, _ = steps(RunningMean(momentum=momentum, warmup_steps=warmup), [step(now) for now in losses])
    np.testing.assert_allclose(weights, documented(np.array(losses), momentum, warmup), rtol=1e-9)


def test_by_hand() -> None:
    # means: 4, (4 + 2)/2 = 3, 0.5·3 + 0.5·1 = 2
    weights, state = steps(
        RunningMean(momentum=0.5, warmup_steps=2), [step([4, 8, 1]), step([2, 8, 1]), step([1, 8, 1])]
    )
    np.testing.assert_allclose(weights, [[1 / 4, 1 / 8, 1], [1 / 3, 1 / 8, 1], [1 / 2, 1 / 8, 1]])
    assert state["steps"].tolist() == [3, 3, 3]


def test_without_warm_up_the_mean_still_begins_with_the_first_loss() -> None:
    (weights, second), _ = steps(RunningMean(momentum=0.5, warmup_steps=0), [step([4, 2, 1])] * 2)
    np.testing.assert_allclose(weights, [1 / 4, 1 / 2, 1])
    np.testing.assert_allclose(second, weights)


def test_sizes_are_one_more_manual_weight() -> None:
    # A four-headed model: 3 classes, 2 pointers, 105 flags, 105 counts; its weights 10/70/10/10.
    base, sizes, losses = (0.1, 0.7, 0.1, 0.1), (3, 2, 105, 105), [1.0, 0.0095, 0.7, 15.93]
    seen = [observe(np.array(losses), np.ones(4, dtype=bool))]
    (plain,), _ = steps(RunningMean(base_weights=by_task(base)), seen)
    (sized,), _ = steps(
        RunningMean(base_weights=by_task(base), sizes=by_task(sizes), size_exponent=0.5), seen
    )
    np.testing.assert_allclose(plain * losses, base)
    np.testing.assert_allclose(sized / plain, [1.7320508, 1.4142136, 10.2469508, 10.2469508])
    # The published ratio of the raw losses' factors, pointers to countdown.
    assert plain[1] / plain[3] == pytest.approx(11_700, rel=0.01)


@given(factor=st.sampled_from([1e-15, 1e-6, 105.0, 1e15]), task=st.integers(0, 2))
def test_a_constant_factor_of_a_loss_cancels(factor: float, task: int) -> None:
    # Losses far from 1e-8, below which they count as nothing.
    losses = 1e12 * np.random.default_rng(0).uniform(1, 5, size=(15, 3))
    scales = np.where(np.arange(3) == task, factor, 1.0)
    plain, _ = steps(RunningMean(), [step(now) for now in losses])
    scaled, _ = steps(RunningMean(), [step(now * scales) for now in losses])
    np.testing.assert_allclose(np.array(scaled) * scales, plain, rtol=1e-9)


def test_a_task_that_is_away_keeps_its_mean_and_its_clock() -> None:
    here, away = step([4, 2, 1]), step([4, 2, 0], [True, True, False])
    weights, state = steps(RunningMean(momentum=0.5, warmup_steps=2), [here, away, away, step([4, 2, 3])])
    assert state["steps"].tolist() == [4, 4, 2]
    assert weights[1][2] == 0
    assert weights[3][2] == 1 / 2  # (1 + 3)/2: still its warm-up


def test_a_loss_of_nothing_is_used_as_it_is() -> None:
    (weights,), _ = steps(RunningMean(base_weights=by_task((2.0, 2.0, 2.0))), [step([0.0, 1e-8, 2e-8])])
    np.testing.assert_allclose(weights, [2.0, 2.0, 1e8])


def test_a_negative_loss_names_its_task() -> None:
    with pytest.raises(
        SignalError, match="its loss is negative, so its running mean cannot be a scale"
    ) as error:
        steps(RunningMean(), [step([1, -0.5, 1])])
    assert error.value.task == 1
