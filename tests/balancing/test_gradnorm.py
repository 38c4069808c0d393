"""GradNorm against its literal formulation, and the traps that public implementations fell into."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.balancing._adam import BETA1
from mtctl.balancing._softmax import softmax
from mtctl.balancing.contract import Array, SignalError, Signals, observe
from mtctl.balancing.gradnorm import GradNorm, targets
from tests.balancing.cases import gradnorm_from, names, steps


def step(
    losses: list[float] | Array, norms: list[float] | Array, active: list[bool] | None = None
) -> Signals:
    tasks = len(losses)
    present = np.ones(tasks, dtype=bool) if active is None else np.array(active)
    return observe(np.array(losses, dtype=np.float64), present, np.array(norms, dtype=np.float64))


def literal_gradient(method: GradNorm, s: Array, initial: Array, seed: int) -> tuple[Signals, Array]:
    """A network's signals, and ∂/∂s Σ|Gᵢ − tᵢ| by double backward through its weighted losses."""
    torch.manual_seed(seed)
    hidden, head = torch.nn.Linear(5, 8).double(), torch.nn.Linear(8, 3).double()
    inputs, labels = torch.randn(3, 16, 5).double(), torch.randn(3, 16, 3).double()
    losses = torch.stack(
        [(head(hidden(x).tanh()) - y).square().mean() for x, y in zip(inputs, labels, strict=True)]
    )
    logits = torch.from_numpy(s).requires_grad_()
    weights = method.weight_floor + (1 - method.weight_floor) * 3 * logits.softmax(0)
    weighted = [
        torch.autograd.grad(w * loss, hidden.weight, create_graph=True)[0]
        for w, loss in zip(weights, losses, strict=True)
    ]
    norms = torch.stack([gradient.norm() for gradient in weighted])
    progress = losses / torch.from_numpy(initial)
    goal = (norms.mean() * (progress / progress.mean()) ** method.alpha).detach()
    (slope,) = torch.autograd.grad((norms - goal).abs().sum(), logits)
    plain = norms.detach() / weights.detach()
    return step(losses.detach().numpy(), plain.numpy()), slope.numpy()


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("seed", range(4))
def test_the_closed_form_is_the_literal_double_backward(alpha: float, floor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    s, initial = rng.normal(size=3), rng.uniform(0.5, 2.0, size=3)
    method = gradnorm_from(initial.tolist(), alpha=alpha, weight_floor=floor)
    seen, literal = literal_gradient(method, s, initial, seed)
    _, state = steps(method, [seen], state={**method.init(names(3)), "log_weights": s})
    # Adam's mean after its first move is (1 − β₁) times the gradient.
    np.testing.assert_allclose(state["adam_mean"] / (1 - BETA1), literal, rtol=1e-9, atol=1e-12)


def test_targets_by_hand() -> None:
    # mean(G) = 2; progress/mean = 1/2, 1, 3/2
    goal = targets(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]), 2.0, np.ones(3, dtype=bool))
    np.testing.assert_allclose(goal, [0.5, 2.0, 4.5])


def test_targets_are_means_over_the_tasks_that_take_part() -> None:
    norms, progress = np.array([1.0, 2.0, 3.0, 50.0]), np.array([1.0, 2.0, 3.0, 70.0])
    goal = targets(norms, progress, 2.0, np.array([True, True, True, False]))
    np.testing.assert_allclose(goal[:3], [0.5, 2.0, 4.5])


def test_without_floor_weights_are_exactly_the_scaled_softmax() -> None:
    s = np.array([0.3, -1.2, 0.7])
    method = gradnorm_from((1.0, 1.0, 1.0), weight_floor=0.0)
    (weights,), _ = steps(
        method, [step([1, 1, 1], [1, 2, 3])], state={**method.init(names(3)), "log_weights": s}
    )
    assert np.array_equal(weights, 3 * softmax(s, np.ones(3, dtype=bool)))


@given(
    data=st.lists(
        st.tuples(*[st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans())] * 3),
        min_size=1,
        max_size=30,
    ),
    floor=st.sampled_from([0.0, 0.05, 0.9]),
)
@settings(max_examples=50, deadline=None)
def test_weights_have_mean_one_and_stay_above_the_floor(
    data: list[tuple[tuple[float, float, bool], ...]], floor: float
) -> None:
    seen = [
        step(
            [loss for loss, _, _ in tasks], [norm for _, norm, _ in tasks], [active for _, _, active in tasks]
        )
        for tasks in data
    ]
    weights, _ = steps(GradNorm(lr=0.5, initial_window=2, weight_floor=floor), seen)
    for now, shown in zip(weights, seen, strict=True):
        assert (now[shown.active] >= floor).all()
        assert (now[~shown.active] == 0).all()
        if shown.active.any():
            assert now[shown.active].mean() == pytest.approx(1.0)


def test_a_task_that_lags_gets_more_weight() -> None:
    # The sign of alpha: equal norms, and task 0 has kept more of its initial loss than the others.
    weights, _ = steps(gradnorm_from((1.0, 1.0, 1.0)), [step([0.9, 0.3, 0.3], [1, 1, 1])] * 30)
    assert weights[-1][0] > weights[-1][1] == weights[-1][2]


def test_alpha_zero_equalises_norms() -> None:
    norms = np.array([1.0, 2.0, 5.0])
    seen = step([0.9, 0.1, 0.5], norms)
    weights, _ = steps(gradnorm_from((1.0, 1.0, 1.0), alpha=0.0, lr=0.002, weight_floor=0.0), [seen] * 1500)
    assert np.ptp(weights[-1] * norms) < 0.05 * (weights[-1] * norms).mean()


def test_one_unlucky_initial_loss_all_but_switches_its_task_off() -> None:
    # Losses and norms are equal; the second task's first batch had a crash in it.
    initial = np.array([3.31, 162.18, 3.48])
    seen = [step([1, 1, 1], [1, 1, 1])] * 3000
    weights, _ = steps(gradnorm_from(initial.tolist(), lr=0.005, weight_floor=0.0), seen)
    goal = (1 / initial / (1 / initial).mean()) ** 1.5
    np.testing.assert_allclose(weights[-1], [(3 - goal[1]) / 2, goal[1], (3 - goal[1]) / 2], atol=2e-3)
    floored, _ = steps(gradnorm_from(initial.tolist(), lr=0.005, weight_floor=0.05), seen)
    assert floored[-1][1] > 0.05


def test_gradients_that_differ_a_thousandfold_are_balanced_unless_a_floor_forbids_it() -> None:
    seen = [step([1, 1000], [1, 1000])] * 1500
    weights, _ = steps(GradNorm(), seen)
    ratios = np.array([first / second for first, second in weights])
    assert ratios[200] > 50
    assert ratios[-1] == pytest.approx(1000, rel=0.1)
    floored, _ = steps(GradNorm(weight_floor=0.05), seen)
    assert floored[-1][0] / floored[-1][1] < 39


def test_the_step_uses_the_weights_from_before_it() -> None:
    seen = step([0.9, 0.3, 0.3], [1, 1, 1])
    weights, _ = steps(gradnorm_from((1.0, 1.0, 1.0)), [seen, seen])
    assert weights[0].tolist() == [1.0, 1.0, 1.0]
    assert weights[1][0] > 1.0


def test_the_first_batch_sets_the_initial_losses_once() -> None:
    seen = [step([4, 2, 1], [1, 2, 3]), step([3, 3, 3], [3, 2, 1]), step([1, 5, 2], [1, 1, 1])]
    method = GradNorm(initial_window=1)
    _, after_first = steps(method, seen[:1])
    assert after_first["initial_losses"].tolist() == [4.0, 2.0, 1.0]
    assert after_first["log_weights"].tolist() == [0.0] * 3
    assert after_first["adam_moves"].tolist() == [0.0] * 3
    _, after_all = steps(method, seen)
    assert after_all["initial_losses"].tolist() == [4.0, 2.0, 1.0]
    assert after_all["adam_moves"].tolist() == [2.0] * 3


def test_initial_losses_are_the_mean_of_the_window() -> None:
    rng = np.random.default_rng(0)
    losses, norms = rng.uniform(1, 5, size=(12, 3)), rng.uniform(1, 5, size=(12, 3))
    seen = [step(loss, norm) for loss, norm in zip(losses, norms, strict=True)]
    weights, state = steps(GradNorm(initial_window=7), seen)
    assert np.array_equal(weights[:8], np.ones((8, 3)))
    assert not np.array_equal(weights[8], np.ones(3))
    np.testing.assert_allclose(state["initial_losses"], losses[:7].mean(0), rtol=1e-12)
    assert state["adam_moves"].tolist() == [5.0] * 3


def test_known_initial_losses_move_weights_from_the_first_step() -> None:
    _, state = steps(gradnorm_from((5.0, 6.0, 7.0)), [step([1, 2, 3], [1, 2, 3])] * 4)
    assert state["initial_losses"].tolist() == [5.0, 6.0, 7.0]
    assert state["adam_moves"].tolist() == [4.0] * 3


def test_a_newcomer_is_recorded_while_the_others_go_on() -> None:
    both, all_three = [True, True, False], [True, True, True]
    seen = [step([2, 1, 0], [1, 2, 0], both)] * 6 + [step([2, 1, 9], [1, 2, 3], all_three)] * 3
    _, before = steps(GradNorm(initial_window=2), seen[:6])
    assert before["adam_moves"].tolist() == [4, 4, 0]
    _, during = steps(GradNorm(initial_window=2), seen[:8])
    assert during["initial_losses"].tolist() == [2.0, 1.0, 9.0]
    assert during["adam_moves"].tolist() == [4, 4, 0], (
        "weights rest until every task at hand has its first losses"
    )
    _, after = steps(GradNorm(initial_window=2), seen)
    assert after["adam_moves"].tolist() == [5, 5, 1]


def test_a_task_that_never_comes_does_not_hold_up_the_others() -> None:
    _, state = steps(GradNorm(initial_window=1), [step([2, 1, 0], [1, 2, 0], [True, True, False])] * 5)
    assert state["adam_moves"].tolist() == [4, 4, 0]
    assert state["log_weights"][2] == 0


def test_a_task_without_initial_loss_keeps_its_log_weight() -> None:
    seen = [step([2, 1, 0], [1, 2, 0])] + [step([2, 0.5, 1], [1, 2, 3])] * 5
    _, state = steps(GradNorm(initial_window=1), seen)
    assert state["log_weights"][2] == 0
    assert np.abs(state["log_weights"][:2]).min() > 0


def test_no_loss_left_anywhere_is_no_lag() -> None:
    seen = step([0, 0, 0], [1, 1, 1])
    _, state = steps(gradnorm_from((1.0, 2.0, 3.0)), [seen] * 3)
    assert np.isfinite(state["log_weights"]).all()


def test_adam_is_kept_between_steps() -> None:
    # A fresh Adam moves by lr at every step whatever the gradient; a kept one slows down as signs alternate.
    seen = [step([1, 1], [1, 1.5]), step([1, 1], [1.5, 1])] * 20
    weights, state = steps(gradnorm_from((1.0, 1.0), alpha=0.0), seen)
    assert state["adam_moves"].tolist() == [40, 40]
    assert max(np.abs(late - early).max() for early, late in pairwise(weights[10:])) < 0.005


def test_a_negative_loss_names_its_task() -> None:
    with pytest.raises(SignalError, match=re.escape("task 1: its loss is negative")) as error:
        steps(GradNorm(), [step([1, -0.5, 1], [1, 1, 1])])
    assert error.value.task == 1


def test_softmax_is_over_active_tasks() -> None:
    logits = np.array([[0.0, 900.0, 1.0], [0.0, 900.0, 1.0]])
    active = np.array([[True, False, True], [False, False, False]])
    expected = np.array([[1 / (1 + np.e), 0, np.e / (1 + np.e)], [0, 0, 0]])
    np.testing.assert_allclose(softmax(logits, active), expected)
