"""Which parameters are shared, and where the graphs of losses are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mtctl
from mtctl.balancing.gradients.graph import split
from tests.library.models import Heads, by_hand, drawn, gradients, inputs, mlp

METHODS = ["equal", "gradnorm", "encodec", "pcgrad"]


class Parts(nn.Module):
    """Two layers of a trunk and two heads, joined in unusual ways by the tests."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 8), nn.Linear(8, 8)
        self.red, self.blue = nn.Linear(8, 3), nn.Linear(8, 3)
        drawn(self)

    def depths(self) -> tuple[Tensor, Tensor]:
        low = self.first(inputs(16, 5)).tanh()
        return low, self.second(low).tanh()


def two_depths(model: Parts) -> dict[str, Tensor]:
    """Red looks at both layers of the trunk, one above the other."""
    low, high = model.depths()
    return {"red": model.red(low + high).square().mean(), "blue": (model.blue(high) - 1).square().mean()}


def penalty(model: Parts) -> dict[str, Tensor]:
    """Red's loss also has a penalty on the shared weights themselves."""
    _, high = model.depths()
    red = model.red(high).square().mean() + 0.1 * model.first.weight.square().sum()
    return {"red": red, "blue": (model.blue(high) - 1).square().mean()}


def penalty_of_its_own(model: Parts) -> dict[str, Tensor]:
    """A task that is nothing but a penalty on shared weights."""
    _, high = model.depths()
    blue = (model.blue(high) - 1).square().mean() + model.red(high).abs().mean()
    return {"red": model.first.weight.square().sum() + model.first.bias.square().sum(), "blue": blue}


def used_twice(model: Parts) -> dict[str, Tensor]:
    """One layer twice in the trunk, and one head twice."""
    _, high = model.depths()
    again = model.second(high).tanh()
    return {"red": (model.red(again) * model.red(high)).mean().exp(), "blue": model.blue(again).exp().mean()}


def one_of_the_other(model: Parts) -> dict[str, Tensor]:
    """Blue is computed from red, heads and all."""
    _, high = model.depths()
    red = model.red(high).square().mean() + model.blue(high).mean().square()
    return {"red": red, "blue": (1 - red).square()}


def the_same(model: Parts) -> dict[str, Tensor]:
    """One tensor under two names."""
    _, high = model.depths()
    loss = (model.red(high) * model.blue(high)).mean().exp()
    return {"red": loss, "blue": loss}


def crossing(model: Parts) -> dict[str, Tensor]:
    """Each task also looks at the trunk below, and one at the other's head."""
    low, high = model.depths()
    red = model.red(high + low)
    return {"red": red.square().mean(), "blue": (model.blue(low * high) - red).square().mean()}


def chunks(model: Parts) -> dict[str, Tensor]:
    """Heads look at different outputs of one operation."""
    _, high = model.depths()
    left, right = torch.cat([high, 2 * high], dim=1).split(8, dim=1)
    return {"red": model.red(left * right).square().mean(), "blue": (model.blue(right) - 1).square().mean()}


BUILDS: list[Callable[[Parts], dict[str, Tensor]]] = [
    two_depths, penalty, penalty_of_its_own, used_twice, one_of_the_other, the_same, crossing, chunks,
]  # fmt: skip


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("losses", BUILDS)
@pytest.mark.parametrize("retain", [False, True])
def test_gradients_by_hand(losses: Callable[[Parts], dict[str, Tensor]], kind: str, retain: bool) -> None:
    model, balancer = Parts(), mtctl.Balancer(kind)
    parameters = list(model.parameters())
    shared = split(list(losses(model).values())).shared
    reached = [
        [row is not None for row in torch.autograd.grad(loss, parameters, allow_unused=True)]
        for loss in (losses(model)["red"], losses(model)["blue"])
    ]
    assert set(shared) == {parameter for parameter, *by in zip(parameters, *reached, strict=True) if all(by)}
    for _ in range(2):
        model.zero_grad()
        report = mtctl.balance(losses(model), balancer=balancer, retain_graph=retain)
        want = by_hand(losses(model), report, shared, parameters)
        torch.testing.assert_close(gradients(parameters), want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("losses", BUILDS)
def test_measures_by_hand(losses: Callable[[Parts], dict[str, Tensor]]) -> None:
    model = Parts()
    shared = split(list(losses(model).values())).shared
    rows = [
        torch.cat([row.flatten() for row in torch.autograd.grad(losses(model)[task], shared)]).double()
        for task in ("red", "blue")
    ]
    jacobian = torch.stack(rows)
    report = mtctl.balance(losses(model), measure=True)
    assert report.gramian is not None
    torch.testing.assert_close(report.gramian, jacobian @ jacobian.T, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", METHODS)
def test_frozen_parameters_are_left_alone(kind: str) -> None:
    model = mlp()
    frozen = next(iter(model.trunk.parameters())).requires_grad_(False)
    model.head("red").bias.requires_grad_(False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    report = mtctl.balance(model.losses(inputs(16, 5)), balancer=mtctl.Balancer(kind))
    want = by_hand(model.losses(inputs(16, 5)), report, model.shared, parameters)
    torch.testing.assert_close(gradients(parameters), want)
    assert (frozen.grad, model.head("red").bias.grad) == (None, None)


@pytest.mark.parametrize("kind", ["gradnorm", "pcgrad"])
def test_a_loss_of_its_own_parameters_alone_trains_them(kind: str) -> None:
    model, apart = mlp(), nn.Linear(5, 1)
    losses = {**model.losses(inputs(16, 5)), "apart": apart(inputs(16, 5)).square().mean()}
    report = mtctl.balance(losses, balancer=mtctl.Balancer(kind), measure=True)
    assert report.unshared == ("apart",)
    assert "apart depends on no shared parameter" in str(report)
    assert (report.norms or {})["apart"] == 0
    (want,) = torch.autograd.grad(apart(inputs(16, 5)).square().mean(), [apart.weight])
    assert apart.weight.grad is not None
    torch.testing.assert_close(apart.weight.grad, report.own_weights["apart"] * want)


def test_a_frozen_trunk_shares_nothing() -> None:
    model = mlp()
    for parameter in model.shared:
        parameter.requires_grad_(False)
    assert mtctl.balance(model.losses(inputs(16, 5))).weights == {"red": 1.0, "blue": 1.0}
    with pytest.raises(mtctl.BalanceError, match="nothing is shared"):
        mtctl.balance(model.losses(inputs(16, 5)), balancer=mtctl.Balancer("pcgrad"))


@pytest.mark.parametrize("kind", METHODS)
def test_shared_parameters_that_are_given(kind: str) -> None:
    model = mlp()
    last = model.shared[2:]
    parameters = list(model.parameters())
    report = mtctl.balance(model.losses(inputs(16, 5)), last, mtctl.Balancer(kind), measure=True)
    assert report.parameters == tuple(last)
    assert report.reason == "all 2 shared parameters, given"
    want = by_hand(model.losses(inputs(16, 5)), report, last, parameters)
    torch.testing.assert_close(gradients(parameters), want)


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        ([], "shared: none of 0 parameters requires a gradient"),
        ([torch.ones(2)], "shared: none of 1 parameters requires a gradient"),
        (nn.Linear(1, 1), "shared: expected parameters, found Linear"),
        (nn.Sequential(nn.Linear(1, 1)), "shared: expected parameters, found Linear"),
    ],
)
def test_what_are_no_shared_parameters(shared: Iterable[Any], said: str) -> None:
    with pytest.raises(mtctl.BalanceError, match=said):
        mtctl.balance(mlp().losses(inputs(16, 5)), shared)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 8, num_layers=2, batch_first=True)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.lstm(values)[0]
        return out[:, -1]


LSTM = [f"lstm.{name}_l1" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
TRUNKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    "linear": (
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 8), nn.ReLU()), (4, 5), ["1.weight", "1.bias"],
    ),
    "no bias": (lambda: nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 8, bias=False)), (4, 5), ["1.weight"]),
    "norm": (lambda: nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8)), (4, 5), ["0.weight", "0.bias"]),
    "three axes": (
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 8)), (4, 3, 5), ["1.weight", "1.bias"],
    ),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 2), nn.Conv2d(4, 8, 2), nn.BatchNorm2d(8), nn.Flatten()),
        (4, 1, 3, 3),
        ["1.weight", "1.bias"],
    ),
    "lstm": (Recurrent, (4, 6, 5), LSTM),
    "one vector": (lambda: nn.LayerNorm(8), (4, 8), ["weight", "bias"]),
}  # fmt: skip


def _has_recurrent_bfloat16() -> bool:
    """Whether torch has recurrent layers in bfloat16 for this processor."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        try:
            Recurrent()(torch.zeros(4, 6, 5))
        except RuntimeError:
            return False
    return True


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("mixed", [False, True])
def test_the_last_shared_layer(trunk: str, mixed: bool) -> None:
    if mixed and trunk == "lstm" and not _has_recurrent_bfloat16():
        pytest.skip("torch has no recurrent layer in bfloat16 for this processor")
    make, shape, names = TRUNKS[trunk]
    model = Heads(make(), 8)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        losses = model.losses(inputs(*shape))
    report = mtctl.balance(losses, balancer=mtctl.Balancer("gradnorm"))
    by_name = dict(model.trunk.named_parameters())
    assert set(report.parameters) == {by_name[name] for name in names}
    assert report.space == "last_shared"
    assert report.reason.startswith(
        "all shared" if trunk == "one vector" else "the last shared layer, found: "
    )


def test_the_last_shared_layer_is_behind_every_loss_and_stays_what_it_was() -> None:
    model, balancer = Parts(), mtctl.Balancer("gradnorm", tasks=("red", "green", "blue"))

    def losses() -> dict[str, Tensor]:
        low, high = model.depths()
        return {
            "red": model.red(high).square().mean(),
            "green": model.blue(high).square().mean(),
            "blue": low.square().mean(),
        }

    some = losses()
    del some["blue"]
    second, first = set(model.second.parameters()), set(model.first.parameters())
    assert set(mtctl.balance(some, balancer=balancer).parameters) == second
    assert set(mtctl.balance(losses(), balancer=balancer).parameters) == first
    some = losses()
    del some["blue"]
    assert set(mtctl.balance(some, balancer=balancer).parameters) == first


def test_a_last_shared_layer_that_is_given() -> None:
    model = mlp()
    report = mtctl.balance(
        model.losses(inputs(16, 5)), balancer=mtctl.Balancer("gradnorm"), last_shared=model.shared[:1]
    )
    assert report.parameters == (model.shared[0],)
    assert report.reason == "the last shared layer, given"
    (row,) = torch.autograd.grad(model.losses(inputs(16, 5))["red"], model.shared[:1])
    assert (report.norms or {})["red"] == pytest.approx(float(row.norm()))


def test_sparse_gradients_of_an_embedding() -> None:
    table = nn.Embedding(6, 8, sparse=True)
    heads = {task: nn.Linear(8, 1) for task in ("red", "blue")}
    losses = {task: head(table(torch.tensor([1, 4, 4]))).mean() for task, head in heads.items()}
    report = mtctl.balance(losses, balancer=mtctl.Balancer("pcgrad"))
    assert all(norm > 0 for norm in (report.norms or {}).values())
    assert table.weight.grad is not None
    assert table.weight.grad.to_dense().any(1).tolist() == [False, True, False, False, True, False]


def test_features_are_where_the_graphs_meet() -> None:
    model = mlp()
    report = mtctl.balance(
        model.losses(inputs(16, 5)), balancer=mtctl.Balancer("encodec", layer="features", momentum=0.0)
    )
    features = model.trunk(inputs(16, 5))
    red, blue = ((head(features) - 1 - i).square().mean() for i, head in enumerate(model.heads.values()))
    rows = [torch.autograd.grad(loss, features, retain_graph=True)[0].flatten() for loss in (red, blue)]
    assert report.space == "features"
    assert report.norms == pytest.approx({"red": float(rows[0].norm()), "blue": float(rows[1].norm())})
    want = by_hand(model.losses(inputs(16, 5)), report, model.shared, list(model.parameters()))
    torch.testing.assert_close(gradients(list(model.parameters())), want)


def test_a_graph_without_features_says_so() -> None:
    balancer = mtctl.Balancer("encodec", layer="features")
    with pytest.raises(mtctl.BalanceError, match="task `red`: `layer: features` finds no features"):
        mtctl.balance(two_depths(Parts()), balancer=balancer)


def test_hooks_are_called_as_in_a_plain_backward_pass() -> None:
    """One that turns the gradient of what heads read around, and one on a head's own parameter."""

    def hooked() -> tuple[Heads, dict[str, Tensor]]:
        model = mlp()
        features = model.trunk(inputs(16, 5))
        features.register_hook(lambda gradient: -3 * gradient)
        model.head("red").weight.register_hook(lambda gradient: 2 * gradient)
        return model, {task: model.head(task)(features).square().mean() for task in ("red", "blue")}

    model, losses = hooked()
    report = mtctl.balance(losses, balancer=mtctl.Balancer("pcgrad"))
    plain, losses = hooked()
    torch.stack(list(losses.values())).sum().backward(inputs=list(plain.heads.parameters()))
    plain_trunk, losses = hooked()
    weighted = [report.weights[task] * loss for task, loss in losses.items()]
    torch.stack(weighted).sum().backward(inputs=plain_trunk.shared)
    want = gradients(plain_trunk.shared) + gradients(list(plain.heads.parameters()))
    for one, other in zip(gradients(list(model.parameters())), want, strict=True):
        torch.testing.assert_close(one, other)
