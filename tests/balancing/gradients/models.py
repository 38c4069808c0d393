"""Small models of many kinds, with what `AutogradGradients` is told about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtctl.balancing.gradients import AutogradGradients

TASKS = ("red", "green", "blue")


@dataclass
class Made:
    """One forward pass."""

    losses: dict[str, Tensor]
    features: list[Tensor]


@dataclass
class Case:
    """A model: its trunk, its heads, and how a forward pass is made."""

    trunk: nn.Module
    heads: Sequence[nn.Module]
    make: Callable[[], Made]
    counts: tuple[int, ...] | None = None

    @property
    def shared(self) -> list[Parameter]:
        return list(self.trunk.parameters())

    @property
    def own(self) -> list[list[Parameter]]:
        return [list(head.parameters()) for head in self.heads]

    def gradients(self, *, features: bool = True, active: list[bool] | None = None) -> AutogradGradients:
        made = self.make()
        return AutogradGradients(
            TASKS,
            made.losses,
            shared=self.shared,
            own=self.own,
            last_shared=self.shared[-2:],
            features=made.features if features else (),
            rows=self.counts,
            active=None if active is None else torch.tensor(active),
        )

    def rows(self, parameters: Sequence[Tensor]) -> Tensor:
        """Each task's gradient [T, P], one after the other, each through a graph of its own."""
        found = []
        for task in TASKS:
            gradients = torch.autograd.grad(self.make().losses[task], parameters, allow_unused=True)
            pairs = zip(gradients, parameters, strict=True)
            found.append(torch.cat([(p * 0 if g is None else g).flatten() for g, p in pairs]).detach())
        return torch.stack(found).double()


def _heads(width: int) -> list[nn.Module]:
    return [
        nn.Linear(width, 2),
        nn.Sequential(nn.Linear(width, 3), nn.Tanh(), nn.Linear(3, 1)),
        nn.Linear(width, 1),
    ]


def _simple(trunk: nn.Module, inputs: Tensor, width: int) -> Case:
    heads = _heads(width)

    def make() -> Made:
        features = trunk(inputs)
        losses = {
            t: h(features).sub(k).square().mean() for k, (t, h) in enumerate(zip(TASKS, heads, strict=True))
        }
        return Made(losses, [features])

    return Case(trunk, heads, make)


def mlp() -> Case:
    trunk = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh())
    return _simple(trunk, torch.randn(16, 5), 6)


def convolutions() -> Case:
    trunk = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Flatten())
    return _simple(trunk, torch.randn(6, 2, 6, 6), 12)


def batch_norm() -> Case:
    trunk = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
    return _simple(trunk, torch.randn(16, 5), 6)


def used_twice() -> Case:
    """One layer twice in the trunk."""
    layer = nn.Linear(6, 6)
    trunk = nn.Sequential(nn.Linear(5, 6), layer, nn.ReLU(), layer, nn.Tanh())
    return _simple(trunk, torch.randn(16, 5), 6)


class _Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs, _ = self.lstm(inputs)
        mean: Tensor = outputs.mean(1)
        return mean


def recurrent() -> Case:
    return _simple(_Sequence(), torch.randn(4, 5, 3), 8)


def two_features() -> Case:
    """Red and green read one tensor, blue another that is computed beside it."""
    trunk = nn.ModuleList([nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(8, 6, bias=False)])
    heads, inputs = _heads(6), torch.randn(16, 5)

    def make() -> Made:
        below = trunk[0](inputs).relu()
        left, right = trunk[1](below).tanh(), trunk[2](below).sigmoid()
        pairs = zip(heads, (left, left, right), strict=True)
        losses = {task: head(read).square().mean() for task, (head, read) in zip(TASKS, pairs, strict=True)}
        return Made(losses, [left, right])

    return Case(trunk, heads, make)


def _wide(*activation: nn.Module) -> Case:
    """More inputs of the last layer than rows, so that lengths come from products of rows."""
    trunk = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 6), *activation)
    case = _simple(trunk, torch.randn(16, 5), 6)
    return Case(trunk[:3], case.heads, case.make)


def wide() -> Case:
    return _wide()


def wide_activated() -> Case:
    return _wide(nn.GELU())


def wide_mixed() -> Case:
    """Rows and outputs are mixed between the last layer and the features."""
    return _wide(nn.BatchNorm1d(6, affine=False), nn.Softmax(dim=1))


class _Gated(nn.Module):
    """Two layers that read the same, one of them twice and without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate = nn.Linear(6, 2), nn.Linear(6, 2, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        gated: Tensor = self.value(inputs) * self.gate(inputs).sigmoid() + self.gate(inputs)
        return gated


class _Penalised(nn.Module):
    """A linear layer whose weight the loss also reaches past the features."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs) + self.layer.weight.square().sum()
        return outputs


class _Elementwise(nn.Module):
    """Reads the features twice in one operation, beside a column that is broadcast."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(16, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * inputs + inputs * self.scale


def _with_heads(*heads: nn.Module) -> Case:
    trunk, inputs = nn.Sequential(nn.Linear(5, 6), nn.Tanh()), torch.randn(16, 5)

    def make() -> Made:
        features = trunk(inputs)
        pairs = zip(TASKS, heads, strict=True)
        return Made({task: head(features).sub(1).square().mean() for task, head in pairs}, [features])

    return Case(trunk, heads, make)


def layers_with_a_past() -> Case:
    return _with_heads(_Gated(), _Penalised(), nn.Linear(6, 9))


def single_outputs() -> Case:
    return _with_heads(nn.Linear(6, 1), nn.Linear(6, 1, bias=False), nn.Linear(6, 1))


def no_layers() -> Case:
    return _with_heads(_Elementwise(), nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 2)), nn.Linear(6, 1))


def entangled() -> Case:
    """All tasks' losses are parts of one tensor."""
    case = _with_heads(nn.Linear(6, 2), nn.Linear(6, 2), nn.Linear(6, 2))

    def make() -> Made:
        made = case.make()
        return Made(
            dict(zip(TASKS, torch.stack(list(made.losses.values())).log(), strict=True)), made.features
        )

    return Case(case.trunk, case.heads, make)


class Unbatchable(torch.autograd.Function):
    """Twice its input. Its backward pass reads a number, so that torch cannot make it for several tasks."""

    @staticmethod
    def forward(ctx: object, inputs: Tensor) -> Tensor:
        return inputs * 2

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient * (2.0 if gradient.sum().item() else 0.0)


class _Doubled(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        doubled: Tensor = Unbatchable.apply(inputs)  # type: ignore[no-untyped-call]
        return doubled


def unbatchable() -> Case:
    trunk = nn.Sequential(nn.Linear(5, 6), _Doubled(), nn.Linear(6, 6))
    return _simple(trunk, torch.randn(16, 5), 6)


def own_rows(counts: tuple[int, ...], trunk: nn.Module | None = None) -> Case:
    """Every task has rows of its own."""
    layer = nn.Linear(6, 6)
    trunk = trunk or nn.Sequential(
        nn.Linear(5, 6),
        nn.ReLU(),
        layer,
        nn.Tanh(),
        layer,
        nn.Linear(6, 6, bias=False),
        nn.LayerNorm(6, elementwise_affine=False),
    )
    heads, inputs = _heads(6), torch.randn(sum(counts), 5)

    def make() -> Made:
        features = trunk(inputs)
        parts = zip(heads, features.split(list(counts)), strict=True)
        return Made(
            {task: head(part).square().mean() for task, (head, part) in zip(TASKS, parts, strict=True)},
            [features],
        )

    return Case(trunk, heads, make, counts)


SHARED_INPUT = (
    mlp,
    convolutions,
    batch_norm,
    used_twice,
    recurrent,
    two_features,
    wide,
    wide_activated,
    wide_mixed,
    layers_with_a_past,
    single_outputs,
    no_layers,
    entangled,
    unbatchable,
)
