"""Weights that are used again: when the method is asked, what is measured, and who is not left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtctl.balancing.chain import Chain
from mtctl.balancing.encodec import Encodec
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from tests.balancing.cases import METHODS, drawn, given, names, seeded, signals, steps


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("equal", "manual")])
def test_it_is_the_method_at_every_kth_step(name: str, k: int) -> None:
    seen = [signals(drawn(3, 6, seed), [1.0 + seed, 2.0, 3.0]) for seed in range(11)]
    always = METHODS[name](range(3)).model_copy(update={"every": 1})
    thinned, state = steps(always, seen[::k])
    weights, reused = steps(always.model_copy(update={"every": k}), seen)
    assert np.array_equal(weights, np.repeat(thinned, k, axis=0)[: len(seen)])
    assert all(np.array_equal(value, reused[name]) for name, value in state.items())


def test_what_the_method_needs_is_measured_at_its_steps_only() -> None:
    chain = Chain((Encodec(every=3), PCGrad(every=2)))
    gradients, state, rng = given(drawn(3, 4)), chain.init(names(3)), seeded()
    asked = []
    for _ in range(6):
        gradients.asked.clear()
        _, state = chain.balance(gradients, state, rng)
        asked.append(list(gradients.asked))
    norms, gramian = "norms of last_shared", "gramian of all_shared"
    assert asked == [[norms, gramian], [], [gramian], [norms], [gramian], []]


def test_a_newcomer_is_weighed_at_once() -> None:
    method = Encodec(every=10)
    two, three = signals(np.eye(3), active=[True, True, False]), signals(np.eye(3))
    weights, state = steps(method, [two, two, three, three])
    np.testing.assert_allclose(weights, [[1 / 2, 1 / 2, 0]] * 2 + [[1 / 3] * 3] * 2)
    assert state["every.left"].tolist() == [8, 8, 8]


def test_who_leaves_and_returns_before_the_others_are_weighed_again_keeps_its_weight() -> None:
    method = Encodec(every=10)
    weights, state = steps(
        method, [signals(np.eye(3), active=[True, True, here]) for here in (True, False, True)]
    )
    np.testing.assert_allclose(weights, [[1 / 3] * 3, [1 / 3, 1 / 3, 0], [1 / 3] * 3])
    assert state["every.left"].tolist() == [7, 7, 8]


def test_members_of_a_batch_are_asked_when_they_are_due() -> None:
    jacobian = np.stack([np.eye(3), 2 * np.eye(3)])
    active = np.array([[[True, True, False]] * 2, [[True, True, True], [True, True, False]]])
    weights, state = steps(
        Encodec(momentum=0.0, every=10),
        [signals(jacobian, active=now) for now in active],
        rng=seeded((0, 1)),
    )
    np.testing.assert_allclose(weights[0], [[1 / 2, 1 / 2, 0], [1 / 4, 1 / 4, 0]])
    np.testing.assert_allclose(weights[1], [[1 / 3] * 3, [1 / 4, 1 / 4, 0]])
    assert state["every.left"].tolist() == [[9, 9, 9], [8, 8, 0]]
    assert state["averaged"].tolist() == [[2, 2, 1], [1, 1, 0]]


def test_a_state_that_is_kept_goes_on_between_two_weighings() -> None:
    chain = Chain((GradNorm(initial_window=1, lr=0.1, every=3),))
    batches = [given(drawn(3, 4, seed), [1.0 + seed, 2.0, 3.0]) for seed in range(8)]
    state = chain.init(names(3))
    for gradients in batches[:5]:
        _, state = chain.balance(gradients, state, seeded())
    kept = {name: value.clone() for name, value in state.items()}
    for gradients in batches[5:]:
        decision, state = chain.balance(gradients, state, seeded())
        again, kept = chain.balance(gradients, kept, seeded())
        assert torch.equal(decision.shared, again.shared)
