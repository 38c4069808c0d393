"""A table, and three regressions whose targets have very different units.

    pip install scikit-learn
    mtctl diagnose examples/tabular.py:build --epochs 10

Of 569 breast tumours scikit-learn ships means, errors and worst values of ten measurements of their cells.
The worst concavity, texture and area are to be told from the means and errors. Their standard deviations are
0.2, 6 and 570, so the heads answer in standard deviations; with `raw` they answer in the table's own units.
"""

import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from mtctl import Task, Training

TARGETS = ("concavity", "texture", "area")
TRAINED, VALIDATED = 369, 469
"""Rows before these are for training, and for validation; the others are held out."""


class Net(nn.Module):
    """A trunk of two layers, and a linear head for each target."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(64, 1) for name in TARGETS})

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the answers [N] of each task for rows [N, 20]."""
        features = self.trunk(rows)
        return {name: head(features).squeeze(1) for name, head in self.heads.items()}


def standardised(table: Tensor) -> Tensor:
    """Return columns in standard deviations of the training rows, from their mean."""
    return (table - table[:TRAINED].mean(0)) / table[:TRAINED].std(0)


def build(seed: int, raw: bool = False) -> Training:
    """Return the model, its tasks and its data; mtctl has seeded the generators with `seed`.

    Args:
        seed: of the run.
        raw: whether targets stay in the units of the table.
    """
    cancer = load_breast_cancer()
    columns = [list(cancer.feature_names).index(f"worst {name}") for name in TARGETS]
    table = torch.tensor(cancer.data, dtype=torch.float32)
    inputs, targets = standardised(table[:, :20]), table[:, columns]
    if not raw:
        targets = standardised(targets)
    data = TensorDataset(inputs, *targets.unbind(1))
    parts = [
        torch.utils.data.Subset(data, range(first, last))
        for first, last in ((0, TRAINED), (TRAINED, VALIDATED), (VALIDATED, len(data)))
    ]
    return Training(
        model=Net(),
        tasks={"concavity": Task(F.mse_loss), "texture": Task(F.l1_loss), "area": Task(F.mse_loss)},
        train=DataLoader(parts[0], batch_size=16, shuffle=True),
        validation=DataLoader(parts[1], batch_size=100),
        held_out=DataLoader(parts[2], batch_size=100),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    )
