"""Small models for the tests: `build(seed, kind)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from mtctl import Task, Training

ROWS, BATCH = 24, 8


class Net(nn.Module):
    """Tasks `a` (3 classes) and `b` (a number)."""

    def __init__(self, detached: bool = False) -> None:
        super().__init__()
        self.trunk = nn.Linear(4, 6)
        self.a, self.b = nn.Linear(6, 3), nn.Linear(6, 1)
        self.detached = detached

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x).relu()
        return {"a": self.a(h.detach() if self.detached else h), "b": self.b(h)}


def rows() -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, classes and numbers, always the same."""
    x = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(5))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long(), x.sum(1, keepdim=True)


def pair(
    a: Tensor | None = None,
    b: Tensor | None = None,
    model: nn.Module | None = None,
    tasks: Mapping[str, Task] | None = None,
) -> Training:
    """Return a training of both tasks; targets, model and tasks may be others."""
    x, classes, numbers = rows()
    data = TensorDataset(x, classes if a is None else a, numbers if b is None else b)
    loader = DataLoader(data, BATCH)
    return Training(
        model=model or Net(),
        tasks={"a": Task(F.cross_entropy), "b": Task(F.mse_loss), **(tasks or {})},
        train=DataLoader(data, BATCH, shuffle=True),
        validation=loader,
    )


def plain() -> Training:
    return pair()


def detached() -> Training:
    return pair(model=Net(detached=True))


def frozen() -> Training:
    model = Net()
    model.trunk.requires_grad_(False)
    return pair(model=model)


def counted_from_one() -> Training:
    return pair(a=rows()[1] + 1)


def wrong_class(number: int, where: str = "train", mask: bool = False, quick: bool = False) -> Training:
    """Return a training of which one row's class is a number that may be none: row 13, in batch 2."""
    x, classes, numbers = rows()
    classes[13] = number
    loader = DataLoader(TensorDataset(x, classes, numbers), BATCH)
    has_class = Task(F.cross_entropy, mask=lambda batch: batch[1] != number)
    training = pair(tasks={"a": has_class} if mask else {})
    if quick:
        training = own_losses(training)
    known: dict[str, Any] = {"held_out": training.validation, where: loader}
    return replace(training, **known)


def left_out(number: int) -> Training:
    classes = rows()[1]
    classes[::3] = number
    task = Task(lambda output, target: F.cross_entropy(output, target, ignore_index=number))
    return pair(a=classes, tasks={"a": task})


def flat_targets() -> Training:
    return pair(b=rows()[2].squeeze(1))


def squeezed() -> Training:
    task = Task(lambda output, target: F.mse_loss(output.squeeze(1), target))
    return pair(b=rows()[2].squeeze(1), tasks={"b": task})


class ByTask:
    """A batch for each task in turn, with rows of its own."""

    def __iter__(self) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
        x, classes, numbers = rows()
        for start in range(0, ROWS, BATCH):
            part = slice(start, start + BATCH)
            yield {"a": (x[part], classes[part])}
            yield {"b": (x[part][:5], numbers[part][:5])}


class ByTaskNet(Net):
    def forward(self, batch: Any) -> dict[str, Tensor]:
        return {task: super(ByTaskNet, self).forward(inputs)[task] for task, (inputs, _) in batch.items()}


def by_task() -> Training:
    training = pair()
    return Training(model=ByTaskNet(), tasks=training.tasks, train=ByTask(), validation=ByTask())


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from zip(*rows(), strict=True)


def stream() -> Training:
    training = pair()
    loader = DataLoader(Stream(), BATCH)
    return Training(model=Net(), tasks=training.tasks, train=loader, validation=loader)


class Endless(IterableDataset[Any]):
    """Rows without an end, drawn from torch's generator."""

    def __iter__(self) -> Iterator[Any]:
        while True:
            x = torch.randn(4)
            yield x, (x[0] > 0).long() + (x[1] > 0).long(), x.sum().reshape(1)


def endless(
    where: tuple[str, ...] = ("train",), steps: Any = None, short: bool = False, labelled: bool = True
) -> Training:
    """Return a training of which some loaders have no end, or tell no length."""
    training = pair()
    tasks = {**training.tasks, "b": Task(F.mse_loss, target=None if labelled else (lambda batch: None))}
    changes: dict[str, Any] = {name: DataLoader(Stream() if short else Endless(), BATCH) for name in where}
    known: dict[str, Any] = {"held_out": training.validation, "steps_per_epoch": steps}
    return replace(training, tasks=tasks, **{**known, **changes})


def own_losses(training: Training | None = None) -> Training:
    training, model = training or pair(), Net()

    def losses(batch: Any) -> dict[str, Tensor]:
        outputs = model(batch[0])
        return {"a": F.cross_entropy(outputs["a"], batch[1]), "b": F.mse_loss(outputs["b"], batch[2])}

    return Training(model=model, losses=losses, train=training.train, validation=training.validation)


class Steps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.a, self.b = nn.Linear(1, 6), nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x).relu()
        return {"a": self.a(h).mT, "b": self.b(h)}


def padded(bears: bool = True) -> Training:
    """Sequences [N, 4] of different lengths: what is behind the end is -100, or NaN."""
    x, _, numbers = rows()
    ends = torch.arange(ROWS) % 4 + 1
    absent = torch.arange(4) >= ends[:, None]
    classes = (x > 0).long().masked_fill(absent, -100)
    steps = (x * numbers)[:, :, None].masked_fill(absent[:, :, None], torch.nan)

    def known(output: Tensor, target: Tensor) -> Tensor:
        present = ~target.isnan()
        return F.mse_loss(output[present], target[present])

    data = TensorDataset(x[:, :, None], classes, steps)
    loader = DataLoader(data, BATCH)
    tasks = {"a": Task(F.cross_entropy), "b": Task(known if bears else F.mse_loss)}
    return Training(model=Steps(), tasks=tasks, train=loader, validation=loader)


def build(seed: int, kind: str, **arguments: Any) -> Training:
    """Return what a function of this module builds."""
    training: Training = globals()[kind](**arguments)
    return training
