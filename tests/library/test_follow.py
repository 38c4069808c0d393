"""Methods that want to see what a step did, in a training loop of one's own."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor

import mtctl
from mtctl.balancing.famo import FAMO
from tests.library.models import Heads, inputs, mlp


def losses(model: Heads, seed: int = 0) -> dict[str, Tensor]:
    return model.losses(inputs(16, 5, seed=seed))


def step(model: Heads, balancer: mtctl.Balancer, seed: int = 0) -> mtctl.Report:
    model.zero_grad()
    report = mtctl.balance(losses(model, seed), balancer=balancer)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
    return report


def test_weights_follow_what_steps_do() -> None:
    model, balancer = mlp(), mtctl.Balancer("famo", lr=0.5)
    before = step(model, balancer)
    now = {task: loss.detach() for task, loss in losses(model).items()}
    gain = {task: before.losses[task] - float(now[task]) for task in now}
    assert balancer.follows
    balancer.follow(now)
    assert not balancer.follows
    shares = {
        task: float(value)
        for task, value in zip(now, balancer.state_dict()["state"]["0.logits"], strict=True)
    }
    assert min(shares, key=shares.__getitem__) == max(
        gain, key=lambda task: before.losses[task] / float(now[task])
    )


def test_who_is_not_shown_the_outcome_says_so() -> None:
    model, balancer = mlp(), mtctl.Balancer("famo")
    step(model, balancer)
    for refused in (lambda: step(model, balancer), balancer.state_dict):
        with pytest.raises(
            mtctl.BalanceError, match=r"famo (has not been shown|has a step without)"
        ) as error:
            refused()
        assert "follow(" in error.value.__notes__[0]
    balancer.follow(losses(model))
    step(model, balancer)


def test_nothing_waits_for_an_outcome_twice_or_of_other_methods() -> None:
    model, balancer = mlp(), mtctl.Balancer("famo")
    with pytest.raises(mtctl.BalanceError, match="famo expects no losses now"):
        balancer.follow(losses(model))
    step(model, balancer)
    balancer.follow(losses(model))
    with pytest.raises(mtctl.BalanceError, match="expects no losses now"):
        balancer.follow(losses(model))
    other = mtctl.Balancer("pcgrad")
    step(model, other)
    assert not other.follows


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"red": None}, "task `red`: expected its loss after the step, found none"),
        ({"red": torch.ones(3)}, "found a tensor of 3 elements"),
        ({"red": torch.tensor(torch.nan)}, "task `red`: its loss is not finite"),
    ],
)
def test_outcomes_that_are_none(change: dict[str, Tensor | None], said: str) -> None:
    model, balancer = mlp(), mtctl.Balancer("famo")
    step(model, balancer)
    with pytest.raises(mtctl.BalanceError, match=said):
        balancer.follow({**losses(model), **change})
    balancer.follow({task: float(loss.detach()) for task, loss in losses(model).items()})


def test_a_task_without_data_is_not_waited_for() -> None:
    model, balancer = mlp(), mtctl.Balancer("famo", tasks=("red", "blue"))
    mtctl.balance({"red": losses(model)["red"]}, balancer=balancer)
    balancer.follow({"red": losses(model)["red"]})


def test_weights_that_are_used_again_ask_for_no_outcome() -> None:
    model, balancer = mlp(), mtctl.Balancer("famo", every=2)
    for wanted in (True, False, True):
        step(model, balancer)
        assert balancer.follows is wanted
        if wanted:
            balancer.follow(losses(model))


def test_a_method_of_ones_own_is_shown_it_too_and_goes_on_where_it_was_saved() -> None:
    straight, first = mlp(), mlp()
    whole, part = mtctl.Balancer(FAMO(lr=0.5)), mtctl.Balancer(FAMO(lr=0.5))
    for seed in range(3):
        for model, balancer in ((straight, whole), (first, part)):
            step(model, balancer, seed)
            balancer.follow(losses(model, seed))
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    file.seek(0)
    resumed = mtctl.Balancer(FAMO(lr=0.5))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for seed in range(3, 6):
        for model, balancer in ((straight, whole), (first, resumed)):
            report = step(model, balancer, seed)
            balancer.follow(losses(model, seed))
            assert set(report.weights) == {"red", "blue"}
    for one, other in zip(straight.parameters(), first.parameters(), strict=True):
        assert torch.equal(one, other)
