"""Three tasks, each with data of its own; a batch holds the rows of one task, or of all of them.

    pip install scikit-learn
    mtctl diagnose examples/own_loaders.py:build --epochs 5

Of the digits that scikit-learn ships a third is labelled, a third says how much ink it took, and the rest is
turned by 0 to 270 degrees, which the model is to tell.
"""

from collections.abc import Iterator, Mapping

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mtctl import Task, Training

Batch = Mapping[str, tuple[Tensor, Tensor]]
"""Inputs and targets of the tasks that have any in this batch, by task."""


class Net(nn.Module):
    """A shared trunk, and a head for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        sizes = {"digit": 10, "turn": 4, "ink": 1}
        self.heads = nn.ModuleDict({task: nn.Linear(64, size) for task, size in sizes.items()})

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the outputs of the tasks that the batch has."""
        return {task: self.heads[task](self.trunk(inputs)) for task, (inputs, _) in batch.items()}


class Mixture:
    """Batches of several loaders: in turn, or together until the shortest ends."""

    def __init__(self, loaders: Mapping[str, DataLoader[tuple[Tensor, ...]]], *, together: bool) -> None:
        self.loaders, self.together = loaders, together

    def __iter__(self) -> Iterator[Batch]:
        for batches in zip(*self.loaders.values(), strict=False):
            batch = {task: (rows[0], rows[1]) for task, rows in zip(self.loaders, batches, strict=True)}
            yield from [batch] if self.together else [{task: rows} for task, rows in batch.items()]


def data(part: slice) -> dict[str, TensorDataset]:
    """Return each task's data set, of every third digit of a part."""
    digits = load_digits()
    images = torch.tensor(digits.images[part] / 16, dtype=torch.float32)
    turns = torch.arange(len(images)) // 3 % 4
    turned = torch.stack([image.rot90(int(turn)) for image, turn in zip(images, turns, strict=True)])
    ink = (images.mean((1, 2)) - 0.305) / 0.034
    targets = {"digit": torch.tensor(digits.target[part]), "turn": turns, "ink": ink[:, None]}
    return {
        task: TensorDataset((turned if task == "turn" else images).flatten(1)[place::3], values[place::3])
        for place, (task, values) in enumerate(targets.items())
    }


def build(seed: int, together: bool = False) -> Training:
    """Return the model, its tasks and its data; mtctl has seeded the generators with `seed`."""

    def mixture(part: slice, size: int, *, shuffle: bool = False) -> Mixture:
        loaders = {task: DataLoader(rows, size, shuffle=shuffle) for task, rows in data(part).items()}
        return Mixture(loaders, together=together)

    return Training(
        model=Net(),
        tasks={"digit": Task(F.cross_entropy), "turn": Task(F.cross_entropy), "ink": Task(F.mse_loss)},
        train=mixture(slice(0, 1200), 16, shuffle=True),
        validation=mixture(slice(1200, 1500), 50),
        held_out=mixture(slice(1500, 1797), 50),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
    )
