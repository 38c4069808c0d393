"""Losses that a GradScaler has scaled: nothing that is learned changes; a step that overflows is skipped."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

import mtctl
from mtctl.balancing.registry import KINDS
from mtctl.library.scaling import Scale
from tests.library.models import Heads, inputs, mlp

SETTINGS: dict[str, dict[str, Any]] = {
    "manual": {"weights": {"red": 2.0, "blue": 0.5}},
    "gradnorm": {"initial_window": 2, "lr": 0.1},
    "stch": {"initial_window": 2},
    "dwa": {"window": 2},
    "adaptive_scaling": {"warmup_steps": 2},
}
FEW = [
    "equal", "uncertainty", "running_mean", "rlw", "famo", "gradnorm", "encodec", "pcgrad", "nash_mtl",
    "db_mtl",
]  # fmt: skip
OVERFLOWING = 2.0**127


def made(kind: str) -> mtctl.Balancer:
    return mtctl.Balancer(kind, **SETTINGS.get(kind, {}))


def scaler_of(scale: float | None) -> GradScaler:
    return GradScaler("cpu", enabled=scale is not None, init_scale=scale or 1.0)


def trained(
    balancer: mtctl.Balancer, scale: float | None, steps: int = 4, parts: int = 1
) -> tuple[list[Tensor], list[mtctl.Report]]:
    """Train with scaled losses, or with plain ones, until `steps` steps were not skipped."""
    model, scaler = mlp(), scaler_of(scale)
    reports: list[mtctl.Report] = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        step = sum(not report.overflowed for report in reports) // parts
        if step == steps:
            break
        for part in range(parts):
            data = inputs(16, 5, seed=10 * step + part)
            losses = {task: scaler.scale(loss) for task, loss in model.losses(data).items()}
            reports.append(mtctl.balance(losses, balancer=balancer))
            if balancer.follows and part < parts - 1:
                balancer.follow(model.losses(data))
        before = [parameter.detach().clone() for parameter in model.parameters()]
        scaler.step(optimizer)
        scaler.update()
        if reports[-1].overflowed:
            assert all(map(torch.equal, model.parameters(), before))
        if balancer.follows:
            balancer.follow(model.losses(data))
    return [parameter.detach().clone() for parameter in model.parameters()], reports


def alike(one: mtctl.Report, other: mtctl.Report) -> None:
    assert one.weights == pytest.approx(other.weights, rel=1e-5)
    assert one.losses == pytest.approx(other.losses, rel=1e-5)
    assert one.norms == (other.norms and pytest.approx(other.norms, rel=1e-5))


@pytest.mark.parametrize("kind", KINDS)
def test_scaling_changes_nothing_that_is_learned(kind: str) -> None:
    plain, without = trained(made(kind), None)
    scaled, reports = trained(made(kind), 2.0**16)
    torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=1e-6)
    for one, other in zip(reports, without, strict=True):
        alike(one, other)
    assert {report.scale for report in reports} == {2.0**16}
    assert {report.scale for report in without} == {None}
    assert "losses and `.grad` are multiplied by 65536" in str(reports[0])


@pytest.mark.parametrize("kind", FEW)
def test_gradients_add_up_over_parts_of_a_step(kind: str) -> None:
    plain, _ = trained(made(kind), None, parts=3)
    scaled, _ = trained(made(kind), 2.0**16, parts=3)
    torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_overflow_are_skipped_and_training_goes_on(kind: str) -> None:
    plain, without = trained(made(kind), None)
    scaled, reports = trained(made(kind), OVERFLOWING)
    skipped = [report for report in reports if report.overflowed]
    assert skipped
    assert f"overflow at a scale of {OVERFLOWING:g}: the step is skipped" in str(skipped[0])
    assert set(skipped[0].weights.values()) == set(skipped[0].own_weights.values()) == {0.0}
    torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=1e-6)
    for one, other in zip(reports[len(skipped) :], without, strict=True):
        alike(one, other)


@pytest.mark.parametrize("kind", FEW)
def test_an_overflow_later_on_leaves_the_memory_as_it_was(kind: str) -> None:
    model, balancer = mlp(), made(kind)
    for seed in range(3):
        losses = model.losses(inputs(16, 5, seed=seed))
        factor = torch.tensor(64.0)
        mtctl.balance({task: factor * loss for task, loss in losses.items()}, balancer=balancer)
        if balancer.follows:
            balancer.follow(losses)
    before = balancer.state_dict()
    factor = torch.tensor(OVERFLOWING)
    losses = {task: 1000 * loss * factor for task, loss in model.losses(inputs(16, 5)).items()}
    assert mtctl.balance(losses, balancer=balancer).overflowed
    assert not balancer.follows
    balancer.follow(model.losses(inputs(16, 5)))  # by those that do not ask whether to
    after = balancer.state_dict()
    assert all(map(torch.equal, after["state"].values(), before["state"].values()))
    assert torch.equal(after["rng"], before["rng"])


def test_a_scaler_that_is_disabled_is_none() -> None:
    plain, model = mlp(), mlp()
    mtctl.balance(plain.losses(inputs(16, 5)), balancer="log")
    report = mtctl.balance(model.losses(inputs(16, 5)), balancer="log", scale=scaler_of(None))
    assert report.scale is None
    torch.testing.assert_close(gradients(model), gradients(plain))


def gradients(model: Heads) -> list[Tensor]:
    return [one.grad.clone() for one in model.parameters() if one.grad is not None]


@pytest.mark.parametrize("kind", ["log", "nash_mtl"])
@pytest.mark.parametrize(
    ("scaled", "scale", "factor"),
    [
        (lambda losses, scaler: scaler.scale(losses), None, 1024.0),
        (lambda losses, scaler: [scaler.scale(one) for one in losses], scaler_of(1024.0), 1024.0),
        (lambda losses, scaler: [scaler.scale(one.reshape(1)) for one in losses], None, 1024.0),
        (lambda losses, scaler: [1000.0 * one for one in losses], 1000.0, 1000.0),
        (lambda losses, scaler: [512 * one for one in losses], 512, 512.0),
        (lambda losses, scaler: [one * 64.0 for one in losses], torch.tensor([64.0]), 64.0),
        (lambda losses, scaler: [scaler.scale(one) / 4 for one in losses], 256.0, 256.0),
    ],
    ids=["a list", "said", "one element", "a number", "an integer", "a tensor", "divided"],
)  # fmt: skip
def test_ways_to_scale(
    kind: str,
    scaled: Callable[[Sequence[Tensor], GradScaler], Sequence[Tensor]],
    scale: Scale | None,
    factor: float,
) -> None:
    plain, model, scaler = mlp(), mlp(), scale if isinstance(scale, GradScaler) else scaler_of(1024.0)
    mtctl.balance(plain.losses(inputs(16, 5)), balancer=kind)
    losses = scaled([*model.losses(inputs(16, 5)).values()], scaler)
    report = mtctl.balance(dict(zip(model.heads, losses, strict=True)), balancer=kind, scale=scale)
    assert report.scale == factor
    want = [factor * one for one in gradients(plain)]
    torch.testing.assert_close(gradients(model), want, rtol=1e-4, atol=1e-3)


def test_weights_of_tasks_are_no_scale() -> None:
    model, balancer = mlp(("red", "green", "blue")), mtctl.Balancer("log")
    double, triple = torch.tensor(2.0), torch.tensor(3.0)
    for absent in (None, "blue", "green"):
        losses = model.losses(inputs(16, 5))
        weighted: dict[str, Tensor | None] = {
            task: loss * (triple if task == "blue" else double) for task, loss in losses.items()
        }
        if absent:
            weighted[absent] = None
        report = mtctl.balance(weighted, balancer=balancer)
        assert report.scale is None
        assert report.losses["red"] == pytest.approx(2 * losses["red"].item())


def test_a_step_with_one_task_goes_on_as_those_before() -> None:
    model, scaler, balancer = mlp(), scaler_of(4096.0), mtctl.Balancer("log")
    losses = {task: scaler.scale(loss) for task, loss in model.losses(inputs(16, 5)).items()}
    mtctl.balance(losses, balancer=balancer)
    file = io.BytesIO()
    torch.save(balancer.state_dict(), file)
    file.seek(0)
    resumed = mtctl.Balancer("log")
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for one in (balancer, resumed):
        report = mtctl.balance({"red": scaler.scale(model.losses(inputs(16, 5))["red"])}, balancer=one)
        assert report.scale == 4096.0


def test_what_may_be_a_weight_or_a_scale_is_not_guessed() -> None:
    model, scaler = mlp(), scaler_of(4096.0)
    losses = {task: scaler.scale(loss) for task, loss in model.losses(inputs(16, 5)).items()}
    with pytest.raises(
        mtctl.BalanceError,
        match=r"task `red`: its loss was multiplied by a tensor of 4096, which may be a weight",
    ) as error:
        mtctl.balance({"red": losses["red"]}, balancer=mtctl.Balancer("log", tasks=("red", "blue")))
    assert "scale=1.0" in str(error.value.hint)
    balancer = mtctl.Balancer("log")
    mtctl.balance(model.losses(inputs(16, 5)), balancer=balancer)
    with pytest.raises(mtctl.BalanceError, match="a weight or the scale of a GradScaler"):
        mtctl.balance(losses, balancer=balancer)
    assert mtctl.balance(losses, balancer=balancer, scale=scaler, retain_graph=True).scale == 4096.0
    assert mtctl.balance(losses, balancer=balancer, scale=1.0).scale is None


def test_a_loss_that_was_forgotten_is_named() -> None:
    model, scaler, balancer = mlp(), scaler_of(4096.0), mtctl.Balancer("log")
    losses = {task: scaler.scale(loss) for task, loss in model.losses(inputs(16, 5)).items()}
    mtctl.balance(losses, balancer=balancer, retain_graph=True)
    losses["blue"] = model.losses(inputs(16, 5))["blue"]
    with pytest.raises(mtctl.BalanceError, match="task `blue`: its loss is not scaled, but losses were"):
        mtctl.balance(losses, balancer=balancer)
    with pytest.raises(mtctl.BalanceError, match="task `blue`: its loss was not multiplied by"):
        mtctl.balance(losses, balancer="log", scale=scaler)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan"), torch.ones(2), True, "1024"])
def test_what_is_no_scale(scale: Any) -> None:
    with pytest.raises(mtctl.BalanceError, match="scale: expected a positive number or a GradScaler, found"):
        mtctl.balance(mlp().losses(inputs(16, 5)), balancer="log", scale=scale)


@pytest.mark.parametrize("kind", ["log", "pcgrad"])
def test_a_loss_that_no_smaller_scale_mends_is_refused(kind: str) -> None:
    model, balancer = mlp(), mtctl.Balancer(kind)
    for scale, overflowed in ((2.0, True), (1.0, False)):
        losses = model.losses(inputs(16, 5))
        losses["blue"] = losses["blue"] * torch.nan
        scaler = scaler_of(scale)
        losses = {task: scaler.scale(loss) for task, loss in losses.items()}
        if overflowed:
            assert mtctl.balance(losses, balancer=balancer).overflowed
        else:
            with pytest.raises(mtctl.BalanceError, match="task `blue`: its loss is not finite"):
                mtctl.balance(losses, balancer=balancer)
