"""`mtctl.balance` on models of every build: its gradients against those by hand."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchjd._linalg import QuadprogProjector
from torchjd.aggregation import Aggregator, PCGrad, UPGrad
from torchjd.autojac import jac_to_grad, mtl_backward

import mtctl
from mtctl.balancing.registry import KINDS
from tests.library.models import Heads, by_hand, gradients, inputs, mlp

SETTINGS: dict[str, dict[str, Any]] = {
    "manual": {"weights": {"red": 2.0, "blue": 0.5}},
    "gradnorm": {"initial_window": 1, "lr": 0.1},
}


class Last(nn.Module):
    """The last of the outputs of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 8, num_layers=2, batch_first=True)

    def forward(self, sequence: Tensor) -> Tensor:
        out: Tensor = self.lstm(sequence)[0]
        return out[:, -1]


def convolutional() -> Heads:
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8))
    return Heads(layers, 8)


MODELS: dict[str, tuple[Callable[[], Heads], tuple[int, ...]]] = {
    "mlp": (mlp, (32, 5)),
    "batch norm": (convolutional, (16, 1, 4, 4)),
    "lstm": (lambda: Heads(Last(), 8), (16, 6, 5)),
}


def compare(model: Heads, shape: tuple[int, ...], balancer: mtctl.Balancer) -> mtctl.Report:
    """Balance one step and compare what is added to every gradient with the sum by hand."""
    parameters = list(model.parameters())
    before = gradients(parameters)
    report = mtctl.balance(model.losses(inputs(*shape)), balancer=balancer)
    if balancer.follows:
        balancer.follow(model.losses(inputs(*shape)))
    want = by_hand(model.losses(inputs(*shape)), report, model.shared, parameters)
    for now, old, new in zip(gradients(parameters), before, want, strict=True):
        torch.testing.assert_close(now - old, new, rtol=1e-4, atol=1e-5)
    return report


@pytest.mark.parametrize(
    ("model", "kind"),
    [*(("mlp", kind) for kind in KINDS)]
    + [
        (model, kind)
        for model in ("batch norm", "lstm")
        for kind in ("equal", "gradnorm", "encodec", "pcgrad")
    ],
)
def test_gradients_are_the_weighted_sums_by_hand(model: str, kind: str) -> None:
    make, shape = MODELS[model]
    made, balancer = make(), mtctl.Balancer(kind, **SETTINGS.get(kind, {}))
    for _ in range(3):  # gradients are added to those that are there
        assert list(compare(made, shape, balancer).weights) == ["red", "blue"]


def test_equal_weights_are_the_plain_backward_pass_bit_for_bit() -> None:
    plain, balanced = mlp(), mlp()
    for _ in range(2):
        sum(plain.losses(inputs(32, 5)).values(), torch.zeros(())).backward()
        mtctl.balance(balanced.losses(inputs(32, 5)))
    for one, other in zip(plain.parameters(), balanced.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("kind", ["equal", "gradnorm", "pcgrad"])
def test_gradients_are_added_in_place(kind: str) -> None:
    model = mlp()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    there = [parameter.grad for parameter in model.parameters()]
    mtctl.balance(model.losses(inputs(32, 5)), balancer=mtctl.Balancer(kind))
    for parameter, gradient in zip(model.parameters(), there, strict=True):
        assert parameter.grad is gradient


#: Without the blur that keeps their solver stable by default.
EXACT = QuadprogProjector(norm_eps=0.0, reg_eps=1e-10)


@pytest.mark.parametrize(
    ("kind", "oracle"),
    [("pcgrad", PCGrad()), ("upgrad", UPGrad(projector=EXACT))],
    ids=["PCGrad", "UPGrad"],
)
def test_torchjd_agrees(kind: str, oracle: Aggregator) -> None:
    ours, theirs = mlp(), mlp()
    report = mtctl.balance(ours.losses(inputs(32, 5)), balancer=mtctl.Balancer(kind))
    assert report.conflicts == (("red", "blue"),)
    features = theirs.trunk(inputs(32, 5))
    losses = [
        (head(features) - 1 - place).square().mean() for place, head in enumerate(theirs.heads.values())
    ]
    mtl_backward(losses, features=features)
    jac_to_grad(theirs.shared, oracle)
    torch.testing.assert_close(gradients(list(ours.parameters())), gradients(list(theirs.parameters())))


def counted(values: Tensor, passes: list[int]) -> Tensor:
    """Return the values; counts how often a gradient passes."""
    result: Tensor = Counted.apply(values, passes)  # type: ignore[no-untyped-call]
    return result


class Counted(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, passes: list[int]) -> Tensor:
        context.passes = passes
        return values.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        context.passes[0] += 1
        return gradient, None


@pytest.mark.parametrize(
    ("kind", "measure", "trunk", "heads"),
    [
        ("equal", False, 1, 3),
        ("uncertainty", False, 1, 3),
        ("gradnorm", False, 1, 3),
        ("encodec", False, 1, 3),
        ("pcgrad", False, 3, 3),
        ("db_mtl", False, 3, 3),
        ("gradnorm", True, 4, 3),
        ("equal", True, 4, 6),
    ],
)
def test_how_many_passes_a_method_costs(kind: str, measure: bool, trunk: int, heads: int) -> None:
    """Through the trunk's first layer, and through all three heads together."""
    first, last = nn.Linear(5, 8), nn.Linear(8, 8)
    outputs = {task: nn.Linear(8, 1) for task in ("red", "green", "blue")}
    low, high = [0], [0]
    features = last(counted(first(inputs(4, 5)), low).relu())
    losses = {task: counted(head(features), high).square().mean() for task, head in outputs.items()}
    mtctl.balance(losses, balancer=mtctl.Balancer(kind), measure=measure)
    assert (low[0], high[0]) == (trunk, heads)


@pytest.mark.parametrize("kind", ["equal", "gradnorm", "encodec", "pcgrad"])
@pytest.mark.parametrize("measure", [False, True])
def test_the_graph_is_freed_unless_it_is_to_be_kept(kind: str, measure: bool) -> None:
    model = mlp()
    losses = model.losses(inputs(32, 5))
    balancer = mtctl.Balancer(kind)
    for _ in range(2):
        mtctl.balance(losses, balancer=balancer, measure=measure, retain_graph=True)
    mtctl.balance(losses, balancer=balancer, measure=measure)
    for loss in losses.values():
        for goal in (model.head("red").bias, model.head("blue").bias, *model.shared):
            with pytest.raises(RuntimeError, match=r"second time|not have been used"):
                torch.autograd.grad(loss, goal, retain_graph=True)


def test_nothing_is_measured_for_the_report_alone() -> None:
    model = mlp()
    report = mtctl.balance(model.losses(inputs(32, 5)))
    assert (report.norms, report.cosines, report.conflicts, report.space) == (None, None, None, None)
    measured = mtctl.balance(model.losses(inputs(32, 5)), measure=True)
    assert measured.losses == report.losses
    rows = []
    for task in model.heads:
        found = torch.autograd.grad(model.losses(inputs(32, 5))[task], model.shared)
        rows.append(torch.cat([row.flatten() for row in found]).double())
    assert measured.norms == pytest.approx({"red": float(rows[0].norm()), "blue": float(rows[1].norm())})
    cosine = float(torch.cosine_similarity(rows[0], rows[1], dim=0))
    assert measured.cosines == pytest.approx({("red", "blue"): cosine})
    assert measured.conflicts == (("red", "blue"),)
    assert measured.reason == "all 4 shared parameters, found"
    assert "red and blue conflict" in str(measured)


def test_mixed_precision() -> None:
    model = mlp()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model.losses(inputs(32, 5))
        again = model.losses(inputs(32, 5))
    report = mtctl.balance(losses, balancer=mtctl.Balancer("pcgrad"))
    want = by_hand(again, report, model.shared, list(model.parameters()))
    torch.testing.assert_close(gradients(list(model.parameters())), want, rtol=0.02, atol=0.02)


def test_a_model_that_is_bfloat16_itself() -> None:
    model = mlp().to(torch.bfloat16)
    for kind in ("gradnorm", "pcgrad"):
        report = mtctl.balance(model.losses(inputs(32, 5).bfloat16()), balancer=mtctl.Balancer(kind))
        grads = [parameter.grad for parameter in model.parameters()]
        assert all(gradient is not None and gradient.dtype is torch.bfloat16 for gradient in grads)
        assert all(norm > 0 for norm in (report.norms or {}).values())


def test_the_order_of_the_losses_does_not_matter() -> None:
    one, other = mlp(), mlp()
    for model, turn in ((one, 1), (other, -1)):
        balancer = mtctl.Balancer("pcgrad", tasks=("red", "blue"))
        losses = model.losses(inputs(32, 5))
        mtctl.balance(dict(list(losses.items())[::turn]), balancer=balancer)
    torch.testing.assert_close(gradients(list(one.parameters())), gradients(list(other.parameters())))


@pytest.mark.parametrize("name", ["balance", "balancer"])
def test_the_examples_in_docstrings_run(name: str) -> None:
    found = doctest.testmod(import_module(f"mtctl.library.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_the_example_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(mtctl.__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(example, {})
    assert capsys.readouterr().out.startswith("pcgrad\n")


def test_the_package_is_light_until_it_is_used() -> None:
    code = "import sys, mtctl; print('torch' in sys.modules); mtctl.balance; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["False", "True"]
    assert {"balance", "Balancer", "BalanceError", "Report"} <= set(dir(mtctl))
    with pytest.raises(AttributeError, match="no attribute 'blance'"):
        getattr(mtctl, "blance")  # noqa: B009
