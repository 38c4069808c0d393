"""Recipes become the methods they describe."""

from __future__ import annotations

import pytest

from mtctl.balancing.adaptive_scaling import AdaptiveScaling
from mtctl.balancing.aligned_mtl import AlignedMTL
from mtctl.balancing.batch_scale import BatchScale
from mtctl.balancing.build import build
from mtctl.balancing.cagrad import CAGrad
from mtctl.balancing.config import ConFIG
from mtctl.balancing.contract import Balancer
from mtctl.balancing.db_mtl import LongestNorm
from mtctl.balancing.dualproj import DualProj
from mtctl.balancing.dwa import DWA
from mtctl.balancing.encodec import Encodec
from mtctl.balancing.every import Every
from mtctl.balancing.fairgrad import FairGrad
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.gls import GLS
from mtctl.balancing.gradnorm import GradNorm
from mtctl.balancing.gradvac import GradVac
from mtctl.balancing.imtl_g import IMTLG
from mtctl.balancing.imtl_l import IMTLL
from mtctl.balancing.log_loss import LogLoss
from mtctl.balancing.mgda import MGDA
from mtctl.balancing.nash_mtl import NashMTL
from mtctl.balancing.pcgrad import PCGrad
from mtctl.balancing.rlw import RLW
from mtctl.balancing.running_mean import RunningMean
from mtctl.balancing.stch import STCH
from mtctl.balancing.uncertainty import Uncertainty
from mtctl.balancing.upgrad import UPGrad
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
        (recipes.DWA(kind="dwa"), DWA()),
        (recipes.DWA(kind="dwa", window=7, temperature=0.5), DWA(7, 0.5)),
        (recipes.RLW(kind="rlw"), RLW()),
        (recipes.GLS(kind="gls"), GLS()),
        (recipes.LogLoss(kind="log"), LogLoss()),
        (recipes.LogLoss(kind="log", epsilon=1e-8), LogLoss(1e-8)),
        (recipes.IMTLL(kind="imtl_l"), IMTLL()),
        (recipes.IMTLL(kind="imtl_l", lr=0.1, limit=3.0), IMTLL(0.1, 3.0)),
        (recipes.STCH(kind="stch"), STCH()),
        (recipes.STCH(kind="stch", mu=0.1, initial_window=3), STCH("log", 0.1, window=3)),
        (
            recipes.STCH(
                kind="stch",
                form="linear",
                base_weights={"blue": 0.3, "red": 0.1, "green": 0.2},
                ideal={"blue": 3, "red": 1, "green": -2},
            ),
            STCH("linear", 1.0, (0.1, 0.2, 0.3), (1, -2, 3)),
        ),
        (recipes.AdaptiveScaling(kind="adaptive_scaling"), AdaptiveScaling()),
        (
            recipes.AdaptiveScaling(kind="adaptive_scaling", preset="conservative"),
            AdaptiveScaling(target=0.5, momentum=0.95, least=0.2, most=5.0),
        ),
        (
            recipes.AdaptiveScaling(
                kind="adaptive_scaling", preset="aggressive", momentum=0.0, max_scale=30.0
            ),
            AdaptiveScaling(target=2.0, momentum=0.0, least=0.05, most=30.0),
        ),
        (
            recipes.AdaptiveScaling(
                kind="adaptive_scaling", preset="off", base_weights={"blue": 0.3, "red": 0.1, "green": 0.6}
            ),
            AdaptiveScaling(least=1.0, most=1.0, base_weights=(0.1, 0.6, 0.3)),
        ),
        (
            recipes.AdaptiveScaling(
                kind="adaptive_scaling",
                mode="equalise",
                target=3.0,
                min_scale=0.5,
                warmup_steps=0,
                layer="last_shared",
            ),
            AdaptiveScaling("equalise", 3.0, least=0.5, warmup_steps=0, space="last_shared"),
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
        (recipes.MGDA(kind="mgda"), MGDA()),
        (recipes.GradVac(kind="gradvac"), GradVac()),
        (recipes.GradVac(kind="gradvac", beta=0.5), GradVac(0.5)),
        (recipes.IMTLG(kind="imtl_g"), IMTLG()),
        (recipes.NashMTL(kind="nash_mtl"), NashMTL()),
        (recipes.NashMTL(kind="nash_mtl", max_norm=1.0), NashMTL(1.0)),
        (recipes.FairGrad(kind="fairgrad"), FairGrad()),
        (recipes.FairGrad(kind="fairgrad", alpha=2.0), FairGrad(2.0)),
        (recipes.AlignedMTL(kind="aligned_mtl"), AlignedMTL()),
        (recipes.AlignedMTL(kind="aligned_mtl", reduction="sum"), AlignedMTL("sum")),
        (recipes.UPGrad(kind="upgrad"), UPGrad()),
        (recipes.UPGrad(kind="upgrad", reduction="sum"), UPGrad("sum")),
        (recipes.DualProj(kind="dualproj"), DualProj()),
        (recipes.DualProj(kind="dualproj", reduction="sum"), DualProj("sum")),
        (recipes.ConFIG(kind="config"), ConFIG()),
    ],
    ids=repr,
)
def test_one_method(recipe: recipes.Method, method: Balancer) -> None:
    assert build([recipe], TASKS).methods == (method,)


def test_db_mtl_is_two_methods_in_a_row() -> None:
    chain = build([recipes.DBMTL(kind="db_mtl"), recipes.PCGrad(kind="pcgrad")], TASKS)
    assert chain.methods == (LogLoss(1e-8), LongestNorm(), PCGrad())
    chain = build([recipes.DBMTL(kind="db_mtl", momentum=0.5, layer="last_shared")], TASKS)
    assert chain.methods == (LogLoss(1e-8), LongestNorm(0.5, "last_shared"))


def test_weights_that_are_used_again() -> None:
    methods: list[recipes.Method] = [
        recipes.GradNorm(kind="gradnorm", every=5),
        recipes.DBMTL(kind="db_mtl", every=2),
    ]
    assert build(methods, TASKS).methods == (
        Every(GradNorm(), 5),
        Every(LogLoss(1e-8), 2),
        Every(LongestNorm(), 2),
    )


def test_a_chain_keeps_its_order() -> None:
    chain = build([recipes.GradNorm(kind="gradnorm"), recipes.PCGrad(kind="pcgrad")], TASKS)
    assert chain.methods == (GradNorm(), PCGrad())
