"""Two handwritten digits that overlap, and two tasks: the left digit and the right one.

    pip install scikit-learn
    mtctl diagnose examples/two_digits.py:build --epochs 5

The 1,797 images of 8 × 8 pixels are those that scikit-learn ships. Digits are never mixed between training,
validation and held-out data.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mtctl import Task, Training

OVERLAP = 3
"""Columns that both digits share."""


class Net(nn.Module):
    """A small convolutional trunk, and a linear head for each digit."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 6, 64),
            nn.ReLU(),
            nn.Dropout(0.1),
        )
        self.left = nn.Linear(64, 10)
        self.right = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits [N, 10] of both tasks for images [N, 1, 8, 13]."""
        features = self.trunk(images)
        return {"left": self.left(features), "right": self.right(features)}


def pairs(first: int, last: int, count: int, seed: int) -> TensorDataset:
    """Return `count` pairs of the digits from `first` to `last`: images [N, 1, 8, 13], and both labels."""
    digits = load_digits()
    images = torch.tensor(digits.images[first:last] / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target[first:last])
    left, right = torch.randint(len(images), (2, count), generator=torch.Generator().manual_seed(seed))
    canvas = torch.zeros(count, 1, 8, 16 - OVERLAP)
    canvas[:, 0, :, :8] = images[left]
    canvas[:, 0, :, -8:] = torch.maximum(canvas[:, 0, :, -8:], images[right])
    return TensorDataset(canvas, labels[left], labels[right])


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of right answers."""
    return (logits.argmax(1) == labels).float().mean()


def build(seed: int) -> Training:
    """Return the model, its tasks and its data; mtctl has seeded the generators with `seed`."""
    return Training(
        model=Net(),
        tasks={"left": Task(F.cross_entropy, score=accuracy), "right": Task(F.cross_entropy, score=accuracy)},
        train=DataLoader(pairs(0, 1200, 2000, seed=0), batch_size=64, shuffle=True),
        validation=DataLoader(pairs(1200, 1500, 500, seed=1), batch_size=250),
        held_out=DataLoader(pairs(1500, 1797, 500, seed=2), batch_size=250),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
    )
