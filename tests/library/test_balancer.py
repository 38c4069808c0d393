"""What a balancer is made from, what it remembers, and what it refuses."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import mtctl
from mtctl.balancing.chain import Chain
from mtctl.balancing.fixed import Manual
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.catalogue.settings import Spec
from tests.library.models import Heads, inputs, mlp

THREE = ("red", "green", "blue")


def steps(model: Heads, balancer: mtctl.Balancer, count: int, start: int = 0) -> list[Tensor]:
    """Train by plain gradient descent, each step on data of its own; return the parameters."""
    for step in range(start, start + count):
        model.zero_grad()
        mtctl.balance(model.losses(inputs(16, 5, seed=step)), balancer=balancer)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.1 * parameter.grad)
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("gradnorm", "gradnorm"),
        ({"kind": "gradnorm", "alpha": 0.5}, "gradnorm"),
        (GradNorm(alpha=0.5), "gradnorm"),
        ([{"kind": "gradnorm"}, "pcgrad"], "gradnorm + pcgrad"),
        ((PCGrad(), {"kind": "gradnorm", "every": 3}), "pcgrad + gradnorm"),
        (PCGrad(), "pcgrad"),
        (Chain((GradNorm(), PCGrad())), "gradnorm + pcgrad"),
    ],
)
def test_what_a_balancer_is_made_from(spec: Any, name: str) -> None:
    balancer = mtctl.Balancer(spec)
    report = mtctl.balance(mlp().losses(inputs(16, 5)), balancer=balancer)
    assert (balancer.name, report.method) == (name, name)
    assert repr(balancer) == f"Balancer({name}, tasks=('red', 'blue'))"


def test_settings_reach_the_method() -> None:
    weights = {"blue": 3.0, "red": 0.5}
    for spec in (mtctl.Balancer("manual", weights=weights), mtctl.Balancer(Manual(weights=weights))):
        report = mtctl.balance(mlp().losses(inputs(16, 5)), balancer=spec)
        assert report.weights == {"red": 0.5, "blue": 3.0}


def test_a_method_without_memory_needs_no_balancer() -> None:
    losses = mlp().losses(inputs(16, 5))
    assert mtctl.balance(losses, balancer="log").weights["red"] == pytest.approx(1 / losses["red"].item())
    by_hand = {"kind": "manual", "weights": {"red": 2.0, "blue": 0.0}}
    assert mtctl.balance(mlp().losses(inputs(16, 5)), balancer=by_hand).weights == {"red": 2.0, "blue": 0.0}


@pytest.mark.parametrize("spec", ["gradnorm", "uncertainty", "pcgrad", "rlw", ["equal", "pcgrad"]])
def test_a_method_that_builds_on_earlier_steps_needs_one(spec: Spec) -> None:
    model = mlp()
    with pytest.raises(mtctl.BalanceError, match="every call would start again") as error:
        mtctl.balance(model.losses(inputs(16, 5)), balancer=spec)
    assert error.value.__notes__ == [
        f"hint: make it once, before the loop: balancer = mtctl.Balancer({spec!r})"
    ]
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("make", "said", "hint"),
    [
        (lambda: mtctl.Balancer("grdnorm"), "no balancing method 'grdnorm'", "did you mean `gradnorm`?"),
        (lambda: mtctl.Balancer({"alpha": 1}), "no balancing method None", "choose from: equal, manual"),
        (lambda: mtctl.Balancer("gradnorm", alhpa=1), "no setting `alhpa`: did you mean `alpha`?", None),
        (lambda: mtctl.Balancer("rlw", z=1), "rlw: no setting `z`: there are: every", None),
        (lambda: mtctl.Balancer("gradnorm", alpha="x"), "`alpha`: must be a valid number, found 'x'", None),
        (lambda: mtctl.Balancer("gradnorm", alpha=-1, lr=0), "`lr`: must be greater than 0, found 0", None),
        (lambda: mtctl.Balancer("manual"), "manual: `weights` is missing", None),
        (
            lambda: mtctl.Balancer("gradnorm", initial_loss="theoretical"),
            "gradnorm: `initial_loss: theoretical` needs `theoretical_losses`",
            None,
        ),
        (lambda: mtctl.Balancer([]), "balancer: expected a method, got []", "choose from: equal"),
        (lambda: mtctl.Balancer(3), "balancer: expected a method, got 3", "choose from: equal"),  # type: ignore[arg-type]
        (
            lambda: mtctl.Balancer({"kind": "gradnorm"}, alpha=1),
            "alpha: settings need a method that is named by its kind",
            "write it as {'kind': …, 'alpha': …}",
        ),
        (lambda: mtctl.Balancer(PCGrad(), c=1), "c: a method object already has its settings", None),
        (lambda: mtctl.Balancer(tasks=("a", "b", "a")), "tasks: a, b, a: a name occurs twice", None),
        (
            lambda: mtctl.Balancer("manual", weights={"rde": 1, "blue": 1}, tasks=("red", "blue")),
            "manual: `weights` has a value for `rde`, which is not a task",
            "did you mean `red`?",
        ),
        (
            lambda: mtctl.Balancer("manual", weights={"red": 1}, tasks=("red", "blue")),
            "manual: `weights` has no value for blue",
            None,
        ),
        (
            lambda: mtctl.Balancer(Chain((Manual(weights={"red": 1}),)), tasks=("red", "blue")),
            "manual: `weights` has no value for blue",
            None,
        ),
    ],
)  # fmt: skip
def test_what_is_no_balancer(make: Callable[[], object], said: str, hint: str | None) -> None:
    with pytest.raises(mtctl.BalanceError) as error:
        make()
    assert said in error.value.message
    assert (hint is None) == (error.value.hint is None)
    assert (hint or "") in (error.value.hint or "")
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("spec", ["gradnorm", "uncertainty", "pcgrad", ["dwa", "pcgrad"]])
def test_a_state_that_is_saved_goes_on_exactly_where_it_was(spec: Spec) -> None:
    whole = mlp(THREE)
    straight = steps(whole, mtctl.Balancer(spec, seed=3), 8)
    model, first = mlp(THREE), mtctl.Balancer(spec, seed=3)
    steps(model, first, 4)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = mtctl.Balancer(spec)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.tasks == THREE
    assert all(map(torch.equal, steps(model, second, 4, start=4), straight))


def test_a_state_before_the_first_step() -> None:
    fresh = mtctl.Balancer("pcgrad", seed=7)
    other = mtctl.Balancer("pcgrad")
    other.load_state_dict(fresh.state_dict())
    assert other.tasks == ()
    assert all(map(torch.equal, steps(mlp(THREE), fresh, 3), steps(mlp(THREE), other, 3)))


def test_a_state_that_does_not_fit() -> None:
    trained = mtctl.Balancer("gradnorm", tasks=("red", "blue"))
    for other, said in (
        (mtctl.Balancer("uncertainty"), "expected a state of uncertainty, got one of gradnorm"),
        (mtctl.Balancer("gradnorm", tasks=THREE), "is of the tasks red, blue, not of red, green, blue"),
        (mtctl.Balancer("gradnorm", every=2), "the state is of gradnorm with other settings"),
    ):
        with pytest.raises(mtctl.BalanceError, match=said):
            other.load_state_dict(trained.state_dict())
        assert other.tasks in ((), THREE)


def test_the_seed_decides_what_is_drawn() -> None:
    def weights(seed: int) -> dict[str, float]:
        report = mtctl.balance(mlp(THREE).losses(inputs(16, 5)), balancer=mtctl.Balancer("rlw", seed=seed))
        return dict(report.weights)

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


def test_random_numbers_of_others_are_left_alone() -> None:
    model, before = mlp(THREE), torch.get_rng_state()
    steps(model, mtctl.Balancer("pcgrad"), 2)
    assert torch.equal(torch.get_rng_state(), before)
