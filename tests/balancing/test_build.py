"""Recipes become the methods they describe."""

from __future__ import annotations

import pytest

from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.build import build
from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.contract import Balancer
from mtctl.balancing.encodec import Encodec
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.running_mean import RunningMean
from mtctl.balancing.uncertainty import Uncertainty
from mtctl.recipes import balancers as recipes

TASKS = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("recipe", "method"),
    [
        (recipes.Equal(kind="equal"), Equal()),
        (recipes.Manual(kind="manual", weights={"blue": 3, "red": 1, "green": 2}), Manual((1, 2, 3))),
        (recipes.Uncertainty(kind="uncertainty"), Uncertainty()),
        (recipes.Uncertainty(kind="uncertainty", lr=0.1, initial_log_variance=-1.0), Uncertainty(0.1, -1.0)),
        (recipes.RunningMean(kind="running_mean"), RunningMean()),
        (
            recipes.RunningMean(
                kind="running_mean",
                momentum=0.5,
                warmup_steps=0,
                base_weights={"blue": 0.3, "red": 0.1, "green": 0.2},
                sizes={"green": 2, "red": 1, "blue": 3},
                size_exponent=0.5,
            ),
            RunningMean(0.5, 0, (0.1, 0.2, 0.3), (1, 2, 3), 0.5),
        ),
        (recipes.BatchScale(kind="batch_scale"), BatchScale()),
        (
            recipes.BatchScale(
                kind="batch_scale",
                scale="spread",
                epsilon=0.1,
                base_weights={"blue": 0.3, "red": 0.1, "green": 0.2},
                sizes={"green": 2, "red": 1, "blue": 3},
                size_exponent=-1.0,
            ),
            BatchScale("spread", 0.1, (0.1, 0.2, 0.3), (1, 2, 3), -1.0),
        ),
        (recipes.Encodec(kind="encodec"), Encodec()),
        (
            recipes.Encodec(
                kind="encodec",
                momentum=0.9,
                total_norm=2.0,
                base_weights={"blue": 0.3, "red": 0.1, "green": 0.2},
                layer="all_shared",
            ),
            Encodec(0.9, 2.0, (0.1, 0.2, 0.3), "all_shared"),
        ),
        (recipes.GradNorm(kind="gradnorm"), GradNorm()),
        (recipes.GradNorm(kind="gradnorm", initial_window=7), GradNorm(window=7)),
        (recipes.GradNorm(kind="gradnorm", initial_loss="first_batch", initial_window=7), GradNorm(window=1)),
        (
            recipes.GradNorm(
                kind="gradnorm",
                alpha=0.5,
                lr=0.1,
                initial_loss="theoretical",
                theoretical_losses={"green": 2.0, "blue": 3.0, "red": 1.0},
                weight_floor=0.0,
                layer="all_shared",
            ),
            GradNorm(alpha=0.5, lr=0.1, initial_losses=(1.0, 2.0, 3.0), floor=0.0, space="all_shared"),
        ),
        (recipes.PCGrad(kind="pcgrad"), PCGrad("sum")),
        (recipes.PCGrad(kind="pcgrad", reduction="mean"), PCGrad("mean")),
        (recipes.CAGrad(kind="cagrad"), CAGrad()),
        (recipes.CAGrad(kind="cagrad", c=0.2, rescale=True), CAGrad(c=0.2, rescale=True)),
    ],
    ids=repr,
)
def test_one_method(recipe: recipes.Method, method: Balancer) -> None:
    assert build([recipe], TASKS).methods == (method,)


def test_a_chain_keeps_its_order() -> None:
    chain = build([recipes.GradNorm(kind="gradnorm"), recipes.PCGrad(kind="pcgrad")], TASKS)
    assert chain.methods == (GradNorm(), PCGrad())
