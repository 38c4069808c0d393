"""Operations that do not show what is behind them: compiled models, functions, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mtctl
from tests.library.models import by_hand, drawn, gradients, inputs

METHODS = ["gradnorm", "encodec", "pcgrad"]


class Net(nn.Module):
    """Two answers of a trunk, as two tensors or as one."""

    def __init__(self, *, joined: bool = False) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.LayerNorm(8))
        self.red, self.blue = nn.Linear(8, 2), nn.Linear(8, 2)
        self.joined = joined
        drawn(self)

    def forward(self, values: Tensor) -> Sequence[Tensor] | Tensor:
        features = self.trunk(values)
        answers = self.red(features), self.blue(features)
        return torch.cat(answers, dim=1) if self.joined else answers

    def losses(self, run: Callable[[Tensor], Sequence[Tensor] | Tensor]) -> dict[str, Tensor]:
        made = run(inputs(16, 5))
        red, blue = (made[:, :2], made[:, 2:]) if isinstance(made, Tensor) else made
        return {"red": red.square().mean(), "blue": (blue - 1).square().mean()}

    @property
    def shared(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())


@pytest.fixture
def compiled() -> Iterator[Callable[[Any], Any]]:
    """Return what compiles: torch's own front end, without a compiler of C++."""
    torch._dynamo.reset()
    with torch._functorch.config.patch(donated_buffer=False):
        yield lambda module: torch.compile(module, backend="aot_eager")
    torch._dynamo.reset()


@pytest.mark.parametrize("joined", [False, True])
def test_a_model_that_is_one_operation_is_refused(compiled: Callable[[Any], Any], joined: bool) -> None:
    net = Net(joined=joined)
    run = compiled(net)
    for kind in METHODS:
        with pytest.raises(mtctl.BalanceError, match=r"torch\.compile made one operation") as error:
            mtctl.balance(net.losses(run), balancer=mtctl.Balancer(kind))
        assert "shared=list(model.trunk.parameters())" in str(error.value.hint)
        assert "torch.compile(model.trunk)" in str(error.value.hint)
    with pytest.raises(mtctl.BalanceError, match="`layer: features` finds no features"):
        mtctl.balance(net.losses(run), net.shared, mtctl.Balancer("mgda", layer="features"))
    assert all(parameter.grad is None for parameter in net.parameters())
    mtctl.balance(net.losses(run), balancer=mtctl.Balancer("uncertainty"))  # asks for nothing


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("warm", [False, True])
def test_with_its_shared_parameters_it_is_balanced(
    compiled: Callable[[Any], Any], joined: bool, warm: bool
) -> None:
    net = Net(joined=joined)
    run = compiled(net)
    if warm:
        torch.stack(list(net.losses(run).values())).sum().backward()
    for kind in METHODS:
        net.zero_grad()
        report = mtctl.balance(net.losses(run), net.shared, mtctl.Balancer(kind), measure=True)
        want = by_hand(net.losses(net), report, net.shared, list(net.parameters()))
        torch.testing.assert_close(gradients(list(net.parameters())), want, rtol=1e-4, atol=1e-5)
        plain = net.losses(net).values()
        rows = [torch.autograd.grad(loss, net.shared, retain_graph=True) for loss in plain]
        lengths = [float(torch.cat([part.flatten() for part in row]).norm()) for row in rows]
        assert list((report.norms or {}).values()) == pytest.approx(lengths, rel=1e-4)


@pytest.mark.parametrize("kind", METHODS)
def test_a_trunk_that_is_one_operation_is_found(compiled: Callable[[Any], Any], kind: str) -> None:
    net = Net()
    trunk = compiled(net.trunk)

    def run(values: Tensor) -> tuple[Tensor, Tensor]:
        features = trunk(values)
        return net.red(features), net.blue(features)

    report = mtctl.balance(net.losses(run), balancer=mtctl.Balancer(kind), measure=True)
    want = by_hand(net.losses(net), report, net.shared, list(net.parameters()))
    torch.testing.assert_close(gradients(list(net.parameters())), want, rtol=1e-4, atol=1e-5)
    assert set(report.parameters) == set(net.shared)


def test_memory_that_is_given_away_is_named() -> None:
    torch._dynamo.reset()
    with torch._functorch.config.patch(donated_buffer=True):
        net = Net()
        run = torch.compile(net, backend="aot_eager")
        torch.stack(list(net.losses(run).values())).sum().backward()
        net.zero_grad()
        for kind, measure in (("pcgrad", False), ("equal", True)):
            with pytest.raises(mtctl.BalanceError, match="only one backward pass") as error:
                mtctl.balance(net.losses(run), net.shared, mtctl.Balancer(kind), measure=measure)
            assert "donated_buffer = False" in str(error.value.hint)
        assert all(parameter.grad is None for parameter in net.parameters())
        mtctl.balance(net.losses(run))
    torch._dynamo.reset()


class Both(torch.autograd.Function):
    """Twice and three times what it is given: each output has an input of its own."""

    @staticmethod
    def forward(ctx: object, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * one, 3 * other

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * gradients[0], 3 * gradients[1]


def several(net: Net) -> dict[str, Tensor]:
    red, blue = Both.apply(*net(inputs(16, 5)))  # type: ignore[no-untyped-call]
    return {"red": red.square().mean(), "blue": (blue - 1).square().mean()}


def themselves(net: Net) -> dict[str, Tensor]:
    """The losses are what it gives."""
    red, blue = net(inputs(16, 5))
    losses = Both.apply(red.square().mean(), (blue - 1).square().mean())  # type: ignore[no-untyped-call]
    return dict(zip(("red", "blue"), losses, strict=True))


def below_all(net: Net) -> dict[str, Tensor]:
    """Both losses use both outputs: nothing is hidden."""
    features = net.trunk(inputs(16, 5))
    read = torch.cat(Both.apply(*features.split(4, dim=1)), dim=1)  # type: ignore[no-untyped-call]
    return {"red": net.red(read).square().mean(), "blue": (net.blue(read) - 1).square().mean()}


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("losses", [several, themselves])
def test_a_function_of_several_losses(losses: Callable[[Net], dict[str, Tensor]], kind: str) -> None:
    net = Net()
    with pytest.raises(mtctl.BalanceError, match="BothBackward belongs to several tasks"):
        mtctl.balance(losses(net), balancer=mtctl.Balancer(kind))
    assert all(parameter.grad is None for parameter in net.parameters())
    report = mtctl.balance(losses(net), net.shared, mtctl.Balancer(kind))
    want = by_hand(losses(net), report, net.shared, list(net.parameters()))
    torch.testing.assert_close(gradients(list(net.parameters())), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", METHODS)
def test_a_function_in_the_trunk_hides_nothing(kind: str) -> None:
    net = Net()
    report = mtctl.balance(below_all(net), balancer=mtctl.Balancer(kind))
    want = by_hand(below_all(net), report, net.shared, list(net.parameters()))
    torch.testing.assert_close(gradients(list(net.parameters())), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("given", [False, True])
def test_checkpoints(kind: str, given: bool) -> None:
    net = Net()
    shared = net.shared if given else None

    def run(reentrant: bool) -> dict[str, Tensor]:
        values = inputs(16, 5).requires_grad_()
        features = checkpoint(net.trunk, values, use_reentrant=reentrant)
        return net.losses(lambda _: (net.red(features), net.blue(features)))

    with pytest.raises(mtctl.BalanceError, match="use_reentrant=True hide") as error:
        mtctl.balance(run(True), shared, mtctl.Balancer(kind))
    assert "use_reentrant=False" in str(error.value.hint)
    assert all(parameter.grad is None for parameter in net.parameters())
    report = mtctl.balance(run(False), shared, mtctl.Balancer(kind))
    want = by_hand(net.losses(net), report, net.shared, list(net.parameters()))
    torch.testing.assert_close(gradients(list(net.parameters())), want, rtol=1e-4, atol=1e-5)
