"""The functional Adam is torch's, with a clock for each task."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.balancing import _adam
from mtctl.balancing.contract import Array, State

EVERYONE = np.ones(3, dtype=bool)


def torch_adam(start: Array, gradients: Array, lr: float) -> Array:
    value = torch.from_numpy(start.copy()).requires_grad_()
    optimizer = torch.optim.Adam([value], lr=lr)
    for gradient in gradients:
        value.grad = torch.from_numpy(gradient)
        optimizer.step()
    return value.detach().numpy()


def moved(start: Array, gradients: Array, lr: float, state: State) -> tuple[Array, State]:
    for gradient in gradients:
        start, state = _adam.move(start, gradient, state, lr, EVERYONE)
    return start, state


@given(seed=st.integers(0, 1000), lr=st.floats(1e-4, 1.0), scale=st.sampled_from([1e-10, 1.0, 1e10]))
@settings(max_examples=20, deadline=None)
def test_it_is_torch_adam(seed: int, lr: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    start, gradients = rng.normal(size=3), scale * rng.normal(size=(20, 3))
    ours, _ = moved(start, gradients, lr, _adam.init(3))
    np.testing.assert_allclose(ours, torch_adam(start, gradients, lr), rtol=1e-9)


def test_the_state_is_all_that_a_pause_needs() -> None:
    gradients = np.random.default_rng(0).normal(size=(10, 3))
    whole, _ = moved(np.zeros(3), gradients, 0.1, _adam.init(3))
    half, state = moved(np.zeros(3), gradients[:5], 0.1, _adam.init(3))
    assert np.array_equal(moved(half, gradients[5:], 0.1, state)[0], whole)


def test_a_resting_value_keeps_moments_and_clock() -> None:
    gradients = np.random.default_rng(0).normal(size=(6, 3))
    value, state = np.zeros(3), _adam.init(3)
    for step, gradient in enumerate(gradients):
        value, state = _adam.move(value, gradient, state, 0.1, np.array([True, step % 2 == 0, False]))
    np.testing.assert_allclose(value[0], torch_adam(np.zeros(3), gradients, 0.1)[0], rtol=1e-12)
    np.testing.assert_allclose(value[1], torch_adam(np.zeros(3), gradients[::2], 0.1)[1], rtol=1e-12)
    assert value[2] == 0
    assert state["adam_moves"].tolist() == [6, 3, 0]
