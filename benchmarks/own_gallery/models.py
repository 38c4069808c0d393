"""Healthy models that are built in other ways than the examples: layers, shapes, data, loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from mtctl import Task, Training

_PARTS = (slice(0, 1200), slice(1200, 1500), slice(1500, 1797))
_LENGTH = 12


def build(seed: int, kind: str, **arguments: Any) -> Training:
    """Return one of the models.

    Args:
        seed: of the run.
        kind: the name of a function of this module.
        **arguments: of it.
    """
    built: Training = globals()[kind](**arguments)
    return built


def batch_norm() -> Training:
    """Batch normalisation, SGD with momentum, and a one-cycle schedule that ends with the run."""
    trunk = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(256, 64), nn.BatchNorm1d(64), nn.ReLU(),
    )  # fmt: skip
    model = nn.ModuleDict({"trunk": trunk, "digit": nn.Linear(64, 10), "odd": nn.Linear(64, 1)})

    def forward(batch: list[Tensor]) -> dict[str, Tensor]:
        features = model["trunk"](batch[0])
        return {"digit": model["digit"](features), "odd": model["odd"](features).squeeze(1)}

    loaders: list[DataLoader[tuple[Tensor, ...]]] = []
    for part in _PARTS:
        images, labels = _digits(part)
        data = TensorDataset(images, labels, (labels % 2).float())
        loaders.append(DataLoader(data, 32 if part.start == 0 else 100, shuffle=part.start == 0))
    return Training(
        model=model,
        forward=forward,
        tasks={
            "digit": Task(F.cross_entropy, target=1),
            "odd": Task(F.binary_cross_entropy_with_logits, target=2),
        },
        train=loaders[0],
        validation=loaders[1],
        held_out=loaders[2],
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.1, total_steps=5 * len(loaders[0])
        ),
        scheduler_every="update",
    )


class Recurrent(nn.Module):
    """An LSTM with an answer for each step and one for the whole sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 32, batch_first=True)
        self.running = nn.Linear(32, 1)
        self.largest = nn.Linear(32, 1)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return [N, L, 1] the running means and [N, 1] the largest values of sequences [N, L, 1]."""
        hidden, _ = self.lstm(batch["sequence"])
        return {"running": self.running(hidden), "largest": self.largest(hidden[:, -1])}


def lstm(absent: bool = False, reduction: str = "mean") -> Training:
    """Batches that are mappings; outputs [N, L, 1] and [N, 1].

    Args:
        absent: whether targets are partly missing: steps of some rows, and rows that have none at all.
        reduction: of the losses.
    """

    def loss(output: Tensor, target: Tensor) -> Tensor:
        known = ~target.isnan()
        return F.mse_loss(output[known], target[known], reduction=reduction)

    loaders: list[DataLoader[Any]] = []
    for count, seed in ((800, 0), (200, 1), (200, 2)):
        generator = torch.Generator().manual_seed(seed)
        sequence = torch.randn(count, _LENGTH, 1, generator=generator)
        steps = torch.arange(1, _LENGTH + 1)[:, None]
        running = sequence.cumsum(1) / steps.sqrt()
        largest = sequence.amax(1) - 1.6
        if absent:
            running[torch.rand(running.shape, generator=generator) < 0.2] = torch.nan
            largest[::3] = torch.nan
        rows = [
            {"sequence": s, "running": r, "largest": m}
            for s, r, m in zip(sequence, running, largest, strict=True)
        ]
        loaders.append(DataLoader(rows, 16 if seed == 0 else 100, shuffle=seed == 0))  # type: ignore[arg-type]
    return Training(
        model=Recurrent(),
        tasks={"running": Task(loss), "largest": Task(loss)},
        train=loaders[0],
        validation=loaders[1],
        held_out=loaders[2],
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=5e-3 if reduction == "mean" else 2e-3),
    )


class Stream(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Digits one by one, in an order of its own in each epoch."""

    def __init__(self, part: slice) -> None:
        self.images, self.labels = _digits(part)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        info = torch.utils.data.get_worker_info()
        order = torch.randperm(len(self.images))
        for place in order[info.id :: info.num_workers] if info else order:
            image = self.images[place]
            yield image.flatten(), self.labels[place], (image.mean() - 0.305) / 0.034


def stream(workers: int = 0) -> Training:
    """A stream of rows without a length, from some worker processes; outputs and targets of shape [N]."""
    trunk = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    model = nn.ModuleDict({"trunk": trunk, "digit": nn.Linear(64, 10), "ink": nn.Linear(64, 1)})

    def forward(batch: list[Tensor]) -> dict[str, Tensor]:
        features = model["trunk"](batch[0])
        return {"digit": model["digit"](features), "ink": model["ink"](features).squeeze(1)}

    first, *others = (Stream(part) for part in _PARTS)
    return Training(
        model=model,
        forward=forward,
        tasks={"digit": Task(F.cross_entropy), "ink": Task(F.smooth_l1_loss)},
        train=DataLoader(first, 32, num_workers=workers),
        validation=DataLoader(others[0], 100),
        held_out=DataLoader(others[1], 100),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=2e-3),
    )


def own_losses() -> Training:
    """A loop that computes its losses itself."""
    trunk = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    model = nn.ModuleDict({"trunk": trunk, "digit": nn.Linear(64, 10), "odd": nn.Linear(64, 1)})

    def losses(batch: list[Tensor]) -> dict[str, Tensor]:
        images, labels = batch
        features = model["trunk"](images.flatten(1))
        odd = (labels % 2).float()[:, None]
        return {
            "digit": F.cross_entropy(model["digit"](features), labels),
            "odd": F.binary_cross_entropy_with_logits(model["odd"](features), odd),
        }

    data = [TensorDataset(*_digits(part)) for part in _PARTS]
    return Training(
        model=model,
        losses=losses,
        train=DataLoader(data[0], 32, shuffle=True),
        validation=DataLoader(data[1], 100),
        held_out=DataLoader(data[2], 100),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=2e-3),
    )


def table(first: str, second: str) -> Training:
    """A table of eight numbers a row, and two tasks of it; see `_COLUMNS`.

    Args:
        first: what the first task is asked for.
        second: what the second one is asked for.
    """
    trunk = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
    model = nn.ModuleDict({"trunk": trunk, "first": nn.Linear(48, 1), "second": nn.Linear(48, 1)})

    def forward(batch: list[Tensor]) -> dict[str, Tensor]:
        features = model["trunk"](batch[0])
        return {name: model[name](features).squeeze(1) for name in ("first", "second")}

    loaders: list[DataLoader[tuple[Tensor, ...]]] = []
    for count, seed in ((1600, 0), (400, 1), (400, 2)):
        chance = torch.Generator().manual_seed(seed)
        inputs = torch.randn(count, 8, generator=chance)
        columns = [_COLUMNS[name](inputs, chance) for name in (first, second)]
        loaders.append(
            DataLoader(TensorDataset(inputs, *columns), 32 if seed == 0 else 200, shuffle=seed == 0)
        )
    losses: dict[bool, Callable[[Tensor, Tensor], Tensor]] = {
        True: F.binary_cross_entropy_with_logits,
        False: F.mse_loss,
    }
    return Training(
        model=model,
        forward=forward,
        tasks={
            "first": Task(losses[first in _OF_CLASSES]),
            "second": Task(losses[second in _OF_CLASSES]),
        },
        train=loaders[0],
        validation=loaders[1],
        held_out=loaders[2],
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    )


def _sum(inputs: Tensor, _: torch.Generator) -> Tensor:
    return (inputs[:, 0] + inputs[:, 1] * inputs[:, 2].sign()) / 1.4


def _noisy(inputs: Tensor, chance: torch.Generator) -> Tensor:
    """Return numbers of which inputs explain a quarter of the variance."""
    return 0.5 * inputs[:, 3] + 0.866 * torch.randn(len(inputs), generator=chance)


def _doubtful(inputs: Tensor, chance: torch.Generator) -> Tensor:
    """Return classes drawn with the odds that the inputs give: the best skill is about 20 %."""
    return (torch.rand(len(inputs), generator=chance) < torch.sigmoid(1.5 * inputs[:, 4])).float()


def _rare(inputs: Tensor, _: torch.Generator) -> Tensor:
    """Return a class of which one row in 20 is."""
    return (inputs[:, 5] + inputs[:, 6] > 2.33).float()


_COLUMNS = {"sum": _sum, "noisy": _noisy, "doubtful": _doubtful, "rare": _rare}
_OF_CLASSES = ("doubtful", "rare")


def _digits(part: slice) -> tuple[Tensor, Tensor]:
    """Return images [N, 1, 8, 8] and labels [N]."""
    digits = load_digits()
    images = torch.tensor(digits.images[part] / 16, dtype=torch.float32)[:, None]
    return images, torch.tensor(digits.target[part])
