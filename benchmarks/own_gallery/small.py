"""Small models of rows of eight numbers, or of sequences: layers may be narrow, targets vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mtctl import Task, Training

_WIDTH = 32
_INPUTS = 8
_LENGTH = 10
_BATCH = 32


def build(seed: int, kind: str, **arguments: Any) -> Training:
    """Return one of the models.

    Args:
        seed: of the run.
        kind: the name of a function of this module.
        **arguments: of it.
    """
    built: Training = globals()[kind](**arguments)
    return built


def rows(
    tasks: Mapping[str, str],
    widths: Mapping[str, int] | None = None,
    trunk: int | None = None,
    early: int = 0,
    count: int = 1200,
) -> Training:
    """Return tasks of the same eight numbers.

    Args:
        tasks: what each is asked for, by name; see `_TARGETS`.
        widths: units of a layer before a task's own head, by task.
        trunk: units of the trunk's last layer.
        early: units of the trunk's first layer, where it is to be narrow.
        count: training rows.
    """  # fmt: skip
    inputs = early or _INPUTS
    body = [nn.Linear(inputs, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH), nn.ReLU()]
    if early:
        body = [nn.Linear(_INPUTS, early), *body]
    last = _WIDTH
    if trunk is not None:
        body.append(nn.Linear(_WIDTH, trunk))
        last = trunk
    heads = {name: _head(last, (widths or {}).get(name), _SIZES[what]) for name, what in tasks.items()}
    own = nn.ModuleDict(heads)
    model = nn.ModuleDict({"trunk": nn.Sequential(*body), "heads": own})

    def forward(batch: list[Tensor]) -> dict[str, Tensor]:
        features = model["trunk"](batch[0])
        return {name: _shaped(own[name](features), what) for name, what in tasks.items()}

    def data(size: int, seed: int) -> TensorDataset:
        chance = torch.Generator().manual_seed(seed)
        numbers = torch.randn(size, _INPUTS, generator=chance)
        return TensorDataset(numbers, *(_TARGETS[what](numbers, chance) for what in tasks.values()))

    return _training(model, forward, {name: _loss(what) for name, what in tasks.items()}, data, count)


def steps(narrow: bool = False) -> Training:
    """Return a recurrent network that tags every step of a sequence, and tells its sum."""
    tag: nn.Module = nn.Linear(24, 4)
    if narrow:
        tag = nn.Sequential(nn.Linear(24, 1), nn.Linear(1, 24), nn.ReLU(), nn.Linear(24, 4))
    model = nn.ModuleDict({"gru": nn.GRU(2, 24, batch_first=True), "tag": tag, "sum": nn.Linear(24, 1)})

    def forward(batch: list[Tensor]) -> dict[str, Tensor]:
        hidden, _ = model["gru"](batch[0])
        return {"tag": model["tag"](hidden).mT, "sum": model["sum"](hidden[:, -1]).squeeze(1)}

    def data(size: int, seed: int) -> TensorDataset:
        chance = torch.Generator().manual_seed(seed)
        series = torch.randn(size, _LENGTH, 2, generator=chance)
        tags = 2 * (series[..., 0] > 0) + (series[..., 1] > 0)
        return TensorDataset(series, tags.long(), series[..., 0].sum(1) / _LENGTH**0.5)

    return _training(model, forward, {"tag": F.cross_entropy, "sum": F.mse_loss}, data, 600)


def _head(inputs: int, width: int | None, outputs: int) -> nn.Module:
    if width is None:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))


def _training(
    model: nn.Module,
    forward: Callable[[list[Tensor]], dict[str, Tensor]],
    losses: Mapping[str, Callable[[Tensor, Tensor], Tensor]],
    data: Callable[[int, int], TensorDataset],
    count: int,
) -> Training:
    return Training(
        model=model,
        forward=forward,
        tasks={name: Task(loss) for name, loss in losses.items()},
        train=DataLoader(data(count, 0), _BATCH, shuffle=True),
        validation=DataLoader(data(400, 1), 200),
        held_out=DataLoader(data(400, 2), 200),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=3e-3),
    )


def _shaped(output: Tensor, what: str) -> Tensor:
    return output.squeeze(1) if _SIZES[what] == 1 else output


def _loss(what: str) -> Callable[[Tensor, Tensor], Tensor]:
    if what in _CLASSES:
        return F.cross_entropy
    return F.binary_cross_entropy_with_logits if what in _SIDES else F.mse_loss


def _corner(x: Tensor, _: torch.Generator) -> Tensor:
    """Return one of six classes: which side of 0 three numbers are, as far as that is."""
    return ((x[:, 0] > 0) * 2 + (x[:, 1] > 0) + 2 * ((x[:, 2] > 0) & (x[:, 0] > 0))).long()


def _band(x: Tensor, chance: torch.Generator) -> Tensor:
    """Return one of five classes in order: where a noisy number is."""
    value = x[:, 0] + x[:, 3] + 0.3 * torch.randn(len(x), generator=chance)
    return torch.bucketize(value, torch.tensor([-1.2, -0.4, 0.4, 1.2]))


def _side(x: Tensor, _: torch.Generator) -> Tensor:
    return (x[:, 4] * x[:, 5].sign() + x[:, 6] > 0).float()


def _sum(x: Tensor, _: torch.Generator) -> Tensor:
    return (x[:, 0] + x[:, 1] * x[:, 2].sign()) / 1.4


def _product(x: Tensor, _: torch.Generator) -> Tensor:
    return x[:, 6] + x[:, 7].abs() - 0.8


def _vector(x: Tensor, _: torch.Generator) -> Tensor:
    return torch.stack([x[:, 0], x[:, 1].abs() - 0.8, x[:, 2] * x[:, 3].sign(), x[:, 4], x[:, 5]], 1)


def _price(x: Tensor, chance: torch.Generator) -> Tensor:
    """Return prices: positive, skewed, with errors in proportion."""
    level = 0.7 * (x[:, 0] + 0.5 * x[:, 1].abs())
    return level.exp() * (0.5 * torch.randn(len(x), generator=chance)).exp()


def _bought(x: Tensor, chance: torch.Generator) -> Tensor:
    """Return amounts of which a third are 0, by chance."""
    amount = (0.5 * (x[:, 0] + x[:, 1])).exp()
    return torch.where(torch.rand(len(x), generator=chance) < 0.33, 0.0, amount)


def _tailed(x: Tensor, chance: torch.Generator) -> Tensor:
    """Return numbers with errors of long tails: Student's t with 2 degrees of freedom, cut off at 10."""
    normal = torch.randn(3, len(x), generator=chance)
    error = normal[0] / (normal[1:].square().sum(0) / 2).sqrt()
    return x[:, 0] + x[:, 1].abs() + 0.5 * error.clamp(-10, 10)


def _blurred(x: Tensor, chance: torch.Generator) -> Tensor:
    """Return numbers of which inputs explain a quarter of the variance."""
    return 0.5 * _sum(x, chance) + 0.866 * torch.randn(len(x), generator=chance)


_TARGETS: Mapping[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "corner": _corner, "band": _band, "side": _side, "sum": _sum, "product": _product, "vector": _vector,
    "price": _price, "bought": _bought, "tailed": _tailed, "blurred": _blurred,
}  # fmt: skip
_SIZES = dict.fromkeys(_TARGETS, 1) | {"corner": 6, "band": 5, "vector": 5}
_CLASSES = ("corner", "band")
_SIDES = ("side",)
