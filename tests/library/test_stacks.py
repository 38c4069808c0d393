"""What training loops use beside losses: precision, accumulation, memory formats, parametrisations, adapters.

Checkpoints and compiled models: test_opaque. GradScaler: test_scaling. Sparse embeddings: test_sparse. Frozen
parts: test_sharing. Processes: test_ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import parametrizations

import mtctl
from tests.library.models import Heads, by_hand, drawn, gradients, inputs, mlp

METHODS = ["equal", "gradnorm", "encodec", "pcgrad"]


def exact(model: Heads, values: Tensor, kind: str, shared: list[nn.Parameter]) -> mtctl.Report:
    """Balance a step and compare `.grad` with the sums by hand."""
    parameters = [one for one in model.parameters() if one.requires_grad]
    report = mtctl.balance(model.losses(values), balancer=mtctl.Balancer(kind), measure=True)
    assert set(report.parameters) == set(shared)
    want = by_hand(model.losses(values), report, shared, parameters)
    torch.testing.assert_close(gradients(parameters), want, rtol=1e-4, atol=1e-5)
    return report


@contextmanager
def half() -> Iterator[None]:
    with torch.autocast("cpu", dtype=torch.float16):
        yield


@pytest.mark.parametrize("kind", METHODS)
def test_float16_with_a_scaler_learns_what_float32_learns(kind: str) -> None:
    """From a scale that overflows at first."""
    ends = []
    for precise in (True, False):
        model, scaler = mlp(), GradScaler("cpu", init_scale=2.0**20, enabled=not precise)
        optimizer, balancer = torch.optim.Adam(model.parameters(), lr=0.01), mtctl.Balancer(kind)
        skipped = 0
        for step in range(100):
            if step - skipped == 30:
                break
            optimizer.zero_grad()
            if precise:
                losses = model.losses(inputs(32, 5))
            else:
                with half():
                    losses = model.losses(inputs(32, 5))
            made = {task: scaler.scale(loss) for task, loss in losses.items()}
            report = mtctl.balance(made, balancer=balancer, scale=scaler)
            skipped += report.overflowed
            scaler.step(optimizer)
            scaler.update()
        assert precise or skipped > 0
        ends.append(sum(model.losses(inputs(32, 5)).values(), torch.zeros(())).item())
    start = sum(mlp().losses(inputs(32, 5)).values(), torch.zeros(())).item()
    assert ends[0] < 0.8 * start
    assert ends[1] == pytest.approx(ends[0], rel=0.02)


@pytest.mark.parametrize("kind", METHODS)
def test_accumulated_parts_are_balanced_each_by_itself(kind: str) -> None:
    """Σ over parts of what each part's own report says; equal weights give the whole batch's gradient."""
    model, balancer = mlp(), mtctl.Balancer(kind)
    parameters, totals = list(model.parameters()), [torch.zeros_like(one) for one in mlp().parameters()]
    for part in inputs(32, 5).chunk(4):
        losses = {task: loss / 4 for task, loss in model.losses(part).items()}
        report = mtctl.balance(losses, balancer=balancer)
        again = {task: loss / 4 for task, loss in model.losses(part).items()}
        for total, one in zip(totals, by_hand(again, report, model.shared, parameters), strict=True):
            total.add_(one)
    torch.testing.assert_close(gradients(parameters), totals, rtol=1e-4, atol=1e-5)
    if kind == "equal":
        whole = sum(model.losses(inputs(32, 5)).values(), torch.zeros(()))
        torch.testing.assert_close(gradients(parameters), list(torch.autograd.grad(whole, parameters)))


@pytest.mark.parametrize("kind", METHODS)
def test_parametrised_weights(kind: str) -> None:
    """What is shared are the parameters behind the parametrisation, which the optimizer has."""
    first, second = nn.Linear(5, 16), nn.Linear(16, 8)
    parametrizations.weight_norm(first)
    parametrizations.spectral_norm(second)
    model = Heads(nn.Sequential(first, nn.Tanh(), second, nn.Tanh()), 8).eval()  # no power iterations between
    assert len(model.shared) == 5
    exact(model, inputs(32, 5), kind, model.shared)


@pytest.mark.parametrize("kind", METHODS)
def test_tied_weights(kind: str) -> None:
    """A trunk that uses one matrix twice, and a head that uses it too."""
    model = mlp()
    layer = nn.Linear(8, 8)
    model.trunk = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), layer, nn.Tanh(), layer)
    model.heads["red"] = nn.Sequential(layer, nn.Tanh(), nn.Linear(8, 2))
    exact(drawn_again(model), inputs(32, 5), kind, model.shared)


def drawn_again(model: Heads) -> Heads:
    drawn(model, seed=3)
    return model


@pytest.mark.parametrize("kind", METHODS)
def test_channels_last(kind: str) -> None:
    """`.grad` has the memory format of the parameter, as after `loss.backward()`."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(16, 8))
    model = Heads(layers, 8).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    exact(model, inputs(8, 3, 6, 6).to(memory_format=torch.channels_last), kind, model.shared)
    assert all(one.grad is not None and one.grad.stride() == one.stride() for one in model.parameters())


class Adapter(nn.Module):
    """A frozen linear layer W with a low-rank change B·A that is trained (Hu et al., 2022, "LoRA", ICLR)."""

    def __init__(self, frozen: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.frozen = frozen.requires_grad_(False)
        self.low = nn.Parameter(torch.zeros(rank, frozen.in_features))
        self.high = nn.Parameter(torch.zeros(frozen.out_features, rank))

    def forward(self, values: Tensor) -> Tensor:
        found: Tensor = self.frozen(values) + values @ self.low.t() @ self.high.t()
        return found


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("in_heads", [False, True])
def test_adapters(kind: str, in_heads: bool) -> None:
    """Frozen weights have no part in norms and angles, and get no `.grad`."""
    model = Heads(nn.Sequential(Adapter(nn.Linear(5, 16)), nn.Tanh(), Adapter(nn.Linear(16, 8))), 8)
    if in_heads:
        for task in ("red", "blue"):
            model.heads[task] = Adapter(model.head(task))
    drawn(model)
    shared = [one for one in model.shared if one.requires_grad]
    assert len(shared) == 4
    exact(model, inputs(32, 5), kind, shared)
    assert all((one.grad is None) == (not one.requires_grad) for one in model.parameters())
