"""FAMO against torchjd's, by hand, and with what it is shown after a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd import scalarization as oracle

from mtctl.balancing import every
from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Array, NonFiniteSignal, SignalError, observe
from mtctl.balancing.famo import FAMO
from mtctl.balancing.fixed import Manual
from tests.balancing import cases
from tests.balancing.cases import by_task, drawn, names, seeded, step, steps


def weights_of(method: FAMO, courses: list[tuple[list[float], list[float]]]) -> Array:
    """Weights [steps, T] of steps that lead from some losses to others."""
    tasks = names(len(courses[0][0]))
    state, found = method.init(tasks), []
    for before, after in courses:
        shown = replace(step(before), tasks=tasks)
        weights, state = method.weigh(shown, state, seeded())
        state = method.follow(shown, np.array(after), state)
        found.append(weights)
    return np.array(found)


losses_of_three = st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3)


@given(
    courses=st.lists(st.tuples(losses_of_three, losses_of_three), min_size=1, max_size=8),
    decay=st.sampled_from([0.0, 1e-3, 0.5]),
    bound=st.sampled_from([0.0, -1.0]),
)
@settings(max_examples=40, deadline=None)
def test_it_is_torchjd_s(courses: list[tuple[list[float], list[float]]], decay: float, bound: float) -> None:
    bounds = torch.full((3,), bound, dtype=torch.float64)
    # Its logits are float32 unless they are told otherwise.
    other = oracle.FAMO(3, min_losses=bounds, lr=0.1, weight_decay=decay).double()
    expected = []
    for before, after in courses:
        values = torch.tensor(before, dtype=torch.float64, requires_grad=True)
        expected.append(torch.autograd.grad(other(values), values)[0].numpy())
        other.update(torch.tensor(after, dtype=torch.float64))
    found = weights_of(FAMO(lr=0.1, weight_decay=decay, ideal=by_task((bound,) * 3)), courses)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_weights_by_hand() -> None:
    (weights,) = weights_of(FAMO(), [([1.0, 4.0], [1.0, 4.0])])
    np.testing.assert_allclose(weights, [0.8, 0.2], rtol=1e-6)  # z = (1/2, 1/2), c = 1/(0.5 + 0.125)


def test_who_gets_ahead_gets_less() -> None:
    weights = weights_of(FAMO(), [([1.0, 1.0], [0.5, 0.9])] * 3)
    assert (np.diff(weights[:, 0]) < 0).all()
    np.testing.assert_allclose(weights.sum(1), 1.0)


def test_a_constant_factor_of_a_loss_changes_nothing() -> None:
    courses = [([1.0, 2.0], [0.5, 1.9]), ([0.7, 1.8], [0.6, 1.5])]
    scaled = [([a, 1e5 * b], [c, 1e5 * d]) for (a, b), (c, d) in courses]
    np.testing.assert_allclose(
        weights_of(FAMO(epsilon=1e-30), courses) * [1, 1e-5],
        weights_of(FAMO(epsilon=1e-30), scaled) * _lengths(courses, scaled),
        rtol=1e-9,
    )


def _lengths(
    courses: list[tuple[list[float], list[float]]], scaled: list[tuple[list[float], list[float]]]
) -> Array:
    """Weights add up to 1, so that their common factor follows the losses' scale."""
    return np.array(
        [
            (weights * [1, 1e-5]).sum() / others.sum()
            for weights, others in zip(
                weights_of(FAMO(epsilon=1e-30), courses), weights_of(FAMO(epsilon=1e-30), scaled), strict=True
            )
        ]
    )[:, None]


def test_a_task_at_its_bound_is_left_out() -> None:
    method = FAMO(ideal=by_task((0.0, 2.0, 0.0)))
    (weights,) = weights_of(method, [([1.0, 2.0, 4.0], [0.5, 1.0, 3.0])])
    np.testing.assert_allclose(weights, [0.8, 0.0, 0.2], rtol=1e-6)
    assert np.isfinite(weights_of(method, [([1.0, 2.5, 4.0], [0.0, 1.0, 0.0])] * 4)).all()


def test_a_loss_below_its_bound_is_an_error() -> None:
    for method, losses in ((FAMO(), [1.0, -1e-3]), (FAMO(ideal=by_task((0.0, 2.0))), [1.0, 1.0])):
        with pytest.raises(SignalError, match="its loss is negative, relative to its bound") as error:
            steps(method, [step(losses)])
        assert error.value.task == 1


def test_an_absent_task_rests() -> None:
    method = FAMO(lr=0.1)
    shown = step([1.0, 2.0, 3.0], [True, False, True])
    weights, state = method.weigh(shown, method.init(names(3)), seeded())
    state = method.follow(shown, np.array([0.1, 0.0, 2.9]), state)
    assert weights[1] == state["logits"][1] == state["adam_moves"][1] == 0
    assert state["logits"][0] < 0 < state["logits"][2]


class TestInAChain:
    def test_it_sees_losses_as_the_methods_before_have_weighted_them(self) -> None:
        chain, alone = (
            Chain((Manual(weights=by_task((1.0, 0.5))), FAMO(epsilon=0.1))),
            Chain((FAMO(epsilon=0.1),)),
        )
        decision, state = chain.balance(cases.given(drawn(2, 3), [4.0, 4.0]), chain.init(names(2)), seeded())
        single, expected = alone.balance(cases.given(drawn(2, 3), [4.0, 2.0]), alone.init(names(2)), seeded())
        assert decision.wants_outcome
        torch.testing.assert_close(decision.shared, single.shared * torch.tensor([1.0, 0.5]))
        state = chain.follow(
            cases.given(drawn(2, 3), [4.0, 4.0]), torch.tensor([1.0, 3.0]).double(), decision, state
        )
        expected = alone.follow(
            cases.given(drawn(2, 3), [4.0, 2.0]), torch.tensor([1.0, 1.5]).double(), single, expected
        )
        for name, value in expected.items():
            torch.testing.assert_close(state[name.replace("0.", "1.", 1)], value)

    def test_others_do_not_ask(self) -> None:
        chain = Chain((Manual(weights=by_task((1.0, 0.5))),))
        decision, _ = chain.balance(cases.given(drawn(2, 3)), chain.init(names(2)), seeded())
        assert not decision.wants_outcome

    def test_an_outcome_that_is_not_finite_names_its_task(self) -> None:
        chain, gradients = Chain((FAMO(),)), cases.given(drawn(2, 3))
        decision, state = chain.balance(gradients, chain.init(names(2)), seeded())
        with pytest.raises(NonFiniteSignal) as error:
            chain.follow(gradients, torch.tensor([1.0, torch.nan]).double(), decision, state)
        assert error.value.task == 1

    def test_reused_weights_learn_from_the_steps_that_were_weighed(self) -> None:
        chain, gradients = Chain((FAMO(every=3),)), cases.given(drawn(2, 3), [1.0, 2.0])
        state, asked = chain.init(names(2)), []
        for _ in range(6):
            decision, state = chain.balance(gradients, state, seeded())
            asked.append(decision.wants_outcome)
            before = state["0.adam_moves"].tolist()
            if decision.wants_outcome:
                state = chain.follow(gradients, torch.tensor([0.5, 1.9]).double(), decision, state)
                assert state["0.adam_moves"].tolist() == [moves + 1 for moves in before]
        assert asked == [True, False, False, True, False, False]

    def test_members_of_a_batch_that_were_not_weighed_learn_nothing(self) -> None:
        method = FAMO(every=5)
        two = np.array([[True, True], [True, False]])
        everyone = np.array([[True, True], [True, True]])
        losses = np.ones((2, 2))
        state = every.init(method, names(2))
        for active in (two, everyone):
            shown = observe(losses, active)
            _, state = every.weigh(method, shown, state, seeded((0, 1)))
            state = every.follow(method, shown, losses * [0.5, 0.9], state)
        assert state["adam_moves"].tolist() == [[1.0, 1.0], [2.0, 1.0]]
