"""DWA against another implementation, and what its windows mean for tasks that come and go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchjd import scalarization as oracle

from mtctl.balancing.contract import SignalError
from mtctl.balancing.dwa import DWA
from tests.balancing.cases import step, steps


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_it_is_torchjd_s(window: int, temperature: float) -> None:
    losses = np.random.default_rng(0).uniform(0.1, 10.0, size=(5 * window, 3))
    ours, _ = steps(DWA(window=window, temperature=temperature), [step(now) for now in losses])
    theirs = oracle.DWA(temperature)
    for n, now in enumerate(losses):
        values = torch.from_numpy(now).requires_grad_()
        (expected,) = torch.autograd.grad(theirs(values), values)
        np.testing.assert_allclose(ours[n], expected.numpy(), rtol=1e-12)
        if (n + 1) % window == 0:
            theirs.step()


def test_by_hand() -> None:
    # window means 4, 2 and 2, 3: rates 1/2 and 3/2
    seen = [step(now) for now in ([3, 2], [5, 2], [2, 1], [2, 5], [9, 9])]
    weights, _ = steps(DWA(window=2, temperature=1.0), seen)
    assert np.array_equal(weights[:4], np.ones((4, 2)))
    np.testing.assert_allclose(weights[4], 2 * np.exp([0.5, 1.5]) / np.exp([0.5, 1.5]).sum())


def test_it_does_not_see_the_scale_of_a_loss() -> None:
    losses = np.random.default_rng(0).uniform(1, 2, size=(8, 3))
    plain, _ = steps(DWA(window=2), [step(now) for now in losses])
    scaled, _ = steps(DWA(window=2), [step(now * [1e-15, 1.0, 1e15]) for now in losses])
    np.testing.assert_allclose(scaled, plain, rtol=1e-12)


def test_each_task_counts_its_own_steps() -> None:
    both, first = [True, True], [True, False]
    seen = [step([4, 6], both), step([2, 0], first), step([2, 6], both), step([2, 6], both)]
    weights, _ = steps(DWA(window=1, temperature=1.0), seen)
    np.testing.assert_allclose(weights[2], 2 * np.exp([0.5, 1.0]) / np.exp([0.5, 1.0]).sum())
    assert weights[1].tolist() == [1.0, 0.0]
    np.testing.assert_allclose(weights[3], [1.0, 1.0])


def test_a_loss_that_rises_from_nothing_has_no_rate() -> None:
    weights, _ = steps(DWA(window=1), [step(now) for now in ([0, 1], [1, 1], [1, 1])])
    assert weights[2].tolist() == [1.0, 1.0]


def test_a_negative_loss_names_its_task() -> None:
    with pytest.raises(
        SignalError, match="its loss is negative, so the ratio of its means is undefined"
    ) as error:
        steps(DWA(), [step([1, -0.5])])
    assert error.value.task == 1
