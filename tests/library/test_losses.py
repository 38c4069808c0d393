"""Losses that come and go, that are unusual, and that are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mtctl
from mtctl.balancing.contract import observe
from mtctl.balancing.registry import KINDS
from mtctl.balancing.uncertainty import Uncertainty
from tests.balancing.cases import steps
from tests.library.models import by_hand, gradients, inputs, mlp

THREE = ("red", "green", "blue")


@pytest.mark.parametrize("kind", ["equal", "uncertainty", "gradnorm", "pcgrad"])
@pytest.mark.parametrize("absent", ["left out", "None"])
def test_an_absent_task_has_no_part_in_a_step(kind: str, absent: str) -> None:
    model, balancer = mlp(THREE), mtctl.Balancer(kind)
    mtctl.balance(model.losses(inputs(16, 5)), balancer=balancer)
    model.zero_grad()
    losses: dict[str, Tensor | None] = {**model.losses(inputs(16, 5)), "green": None}
    if absent == "left out":
        del losses["green"]
    report = mtctl.balance(losses, balancer=balancer)
    assert list(report.weights) == ["red", "blue"]
    assert model.head("green").weight.grad is None
    parameters = list(model.parameters())
    there = {task: loss for task, loss in model.losses(inputs(16, 5)).items() if task != "green"}
    want = by_hand(there, report, model.shared, parameters)
    torch.testing.assert_close(gradients(parameters), want)


def test_what_was_shared_stays_shared_where_one_task_is_alone() -> None:
    model, balancer = mlp(), mtctl.Balancer("encodec", momentum=0.0, base_weights={"red": 1.0, "blue": 3.0})
    both = mtctl.balance(model.losses(inputs(16, 5)), balancer=balancer)
    alone = mtctl.balance({"red": model.losses(inputs(16, 5))["red"]}, balancer=balancer)
    assert alone.norms is not None
    assert both.norms is not None
    assert alone.norms["red"] == pytest.approx(both.norms["red"])
    assert alone.parameters == both.parameters
    assert alone.own_weights == {"red": 1.0}
    assert alone.weights["red"] == pytest.approx(1 / alone.norms["red"])


def test_tasks_that_were_named_may_be_absent_at_first() -> None:
    model, balancer = mlp(THREE), mtctl.Balancer("pcgrad", tasks=THREE)
    losses = model.losses(inputs(16, 5))
    first = mtctl.balance({task: losses[task] for task in ("blue", "red")}, balancer=balancer)
    second = mtctl.balance(model.losses(inputs(16, 5)), balancer=balancer)
    assert (list(first.weights), list(second.weights)) == (["red", "blue"], list(THREE))


def test_two_losses_that_share_nothing_are_refused_if_no_other_task_can_show_more() -> None:
    apart = {"red": mlp().losses(inputs(16, 5))["red"], "blue": mlp().losses(inputs(16, 5))["blue"]}
    with pytest.raises(
        mtctl.BalanceError, match="no two losses of this step depend on a common parameter"
    ) as error:
        mtctl.balance(apart, balancer=mtctl.Balancer("pcgrad"))
    assert "shared=" in str(error.value.hint)


def test_a_new_task_is_refused() -> None:
    model, balancer = mlp(THREE), mtctl.Balancer("gradnorm", tasks=("red", "blue"))
    with pytest.raises(mtctl.BalanceError, match="task `green` is new: this balancer began with red, blue"):
        mtctl.balance(model.losses(inputs(16, 5)), balancer=balancer)


@pytest.mark.parametrize("kind", ["equal", "gradnorm", "pcgrad"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda loss: loss.expand(2, 3), r"task `blue`: expected a loss of one element, got 6 \(2×3\)"),
        (lambda loss: loss.detach(), "task `blue`: its loss depends on no parameter"),
        (lambda loss: loss * torch.nan, "task `blue`: its loss is not finite"),
        (lambda loss: loss.detach().item(), "task `blue`: expected a Tensor, got float"),
    ],
    ids=["not scalar", "no graph", "not finite", "a number"],
)
def test_an_unusable_loss_is_refused_before_anything_is_written(
    kind: str, spoil: Callable[[Tensor], Any], said: str
) -> None:
    model = mlp()
    losses = model.losses(inputs(16, 5))
    losses["blue"] = spoil(losses["blue"])
    with pytest.raises(mtctl.BalanceError, match=said):
        mtctl.balance(losses, balancer=mtctl.Balancer(kind))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_gradient_that_is_not_finite_names_its_task() -> None:
    model = mlp()
    losses = model.losses(inputs(16, 5))
    losses["blue"] = (losses["blue"] - losses["blue"].detach()).sqrt()
    with pytest.raises(mtctl.BalanceError, match="task `blue`: its gradient is not finite"):
        mtctl.balance(losses, balancer=mtctl.Balancer("pcgrad"))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({}, "no task has a loss in this step"),
        ({"a": None}, "no task has a loss in this step"),
        ([1.0], "expected losses by task name, found list"),
    ],
)
def test_what_are_no_losses(losses: Mapping[str, None], said: str) -> None:
    with pytest.raises(mtctl.BalanceError, match=said):
        mtctl.balance(losses)


def test_a_loss_of_one_element_in_any_shape() -> None:
    model = mlp()
    losses = {task: loss.reshape(1, 1) for task, loss in model.losses(inputs(16, 5)).items()}
    report = mtctl.balance(losses, balancer=mtctl.Balancer("pcgrad"))
    want = by_hand(model.losses(inputs(16, 5)), report, model.shared, list(model.parameters()))
    torch.testing.assert_close(gradients(list(model.parameters())), want)


def test_losses_whose_graph_is_gone_say_so() -> None:
    losses = mlp().losses(inputs(16, 5))
    balancer = mtctl.Balancer("pcgrad")
    mtctl.balance(losses, balancer=balancer)
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        mtctl.balance(losses, balancer=balancer)


#: Methods whose equation has no meaning for a loss below 0; the others look at gradients, or weigh by hand.
POSITIVE = {
    "uncertainty",
    "running_mean",
    "dwa",
    "gls",
    "log",
    "imtl_l",
    "stch",
    "famo",
    "gradnorm",
    "db_mtl",
}
SETTINGS: dict[str, dict[str, Any]] = {"manual": {"weights": {"red": 1.0, "blue": 1.0}}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_that_becomes_negative_is_refused_where_it_has_no_meaning(kind: str) -> None:
    model, balancer = mlp(), mtctl.Balancer(kind, **SETTINGS.get(kind, {}))
    for shift in (0.0, 1000.0):
        model.zero_grad()
        losses = model.losses(inputs(16, 5))
        losses["blue"] = losses["blue"] - shift
        if shift and kind in POSITIVE:
            before = balancer.state_dict()["state"]
            with pytest.raises(mtctl.BalanceError, match="task `blue`: its loss is negative") as error:
                mtctl.balance(losses, balancer=balancer)
            assert error.value.hint
            assert all(map(torch.equal, balancer.state_dict()["state"].values(), before.values()))
            assert all(parameter.grad is None for parameter in model.parameters())
        else:
            report = mtctl.balance(losses, balancer=balancer)
            assert all(abs(weight) < 1e6 for weight in report.weights.values())
            if balancer.follows:
                balancer.follow(losses)


def test_linear_stch_works_with_any_loss() -> None:
    losses = {task: loss - 1000.0 for task, loss in mlp().losses(inputs(16, 5)).items()}
    report = mtctl.balance(losses, balancer=mtctl.Balancer("stch", form="linear"))
    assert 0 < sum(report.weights.values()) <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10, 1e10, 1e18])
def test_losses_of_any_size_give_finite_gradients(kind: str, size: float) -> None:
    model, balancer = mlp(), mtctl.Balancer(kind, **SETTINGS.get(kind, {}))
    for _ in range(3):
        model.zero_grad()
        losses = model.losses(inputs(16, 5))
        losses["blue"] = losses["blue"] * size
        mtctl.balance(losses, balancer=balancer)
        assert all(gradient.isfinite().all() for gradient in gradients(list(model.parameters())))
        if balancer.follows:
            balancer.follow(losses)


@pytest.mark.parametrize("kind", ["log", "gls", "stch"])
def test_a_weight_that_no_number_of_the_loss_s_precision_can_hold_is_refused(kind: str) -> None:
    model, balancer = mlp(), mtctl.Balancer(kind)
    losses = {task: loss.half() for task, loss in model.losses(inputs(16, 5)).items()}
    losses["blue"] = (losses["blue"] - losses["blue"].detach()) + 1e-7
    before = balancer.state_dict()
    if kind == "gls":
        losses["red"] = losses["red"] - losses["red"].detach() + 6e4
    with pytest.raises(
        mtctl.BalanceError, match=r"task `blue`: .* gives it the weight .* too large"
    ) as error:
        mtctl.balance(losses, balancer=balancer)
    assert "leave out (None)" in str(error.value.hint)
    assert balancer.state_dict()["state"].keys() >= before["state"].keys()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_loss_that_stays_zero_has_no_weight_without_end() -> None:
    method = Uncertainty(lr=1.0)
    weights, state = steps(method, [observe(np.array([0.0, 1.0]), np.array([True, True]))] * 100)
    assert weights[-1][0] == pytest.approx(0.5 * np.exp(20.0))
    low, _ = steps(
        Uncertainty(lr=1.0, initial_log_variance=-30.0), [observe(np.zeros(1), np.ones(1, bool))] * 5
    )
    assert [float(now[0]) for now in low] == pytest.approx([0.5 * np.exp(30.0)] * 5)
    assert np.isfinite(state["log_variances"]).all()
