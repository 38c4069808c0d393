"""A model that really learns: two overlaid digits, one of whose losses counts in a thousandth of the unit."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import mtctl

UNITS = {"left": 1.0, "right": 1000.0}
"""What each task's loss is multiplied with."""
STEPS, BATCH, TRAINED = 300, 128, 1200


class Digits:
    """Overlaid pairs of scikit-learn's 8×8 digits, [count, 8·12], with both labels."""

    def __init__(self, images: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> None:
        pairs = torch.randint(len(images), (2, count), generator=generator)
        canvas = torch.zeros(count, 8, 12)
        canvas[:, :, :8] += images[pairs[0]]
        canvas[:, :, 4:] += images[pairs[1]]
        self.inputs = canvas.flatten(1)
        self.labels: Mapping[str, Tensor] = dict(zip(UNITS, labels[pairs], strict=True))


def accuracies(balancer: mtctl.Balancer, seed: int) -> dict[str, float]:
    """Train on two digits and return each task's share of right answers on pairs of other images."""
    generator = torch.Generator().manual_seed(seed)
    pixels, labels = map(torch.from_numpy, load_digits(return_X_y=True))
    pixels = pixels.float().reshape(-1, 8, 8) / 16
    order = torch.randperm(len(pixels), generator=generator)
    old, new = order[:TRAINED], order[TRAINED:]
    training = Digits(pixels[old], labels[old], 4000, generator)
    unseen = Digits(pixels[new], labels[new], 2000, generator)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        trunk = nn.Sequential(nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 24), nn.ReLU())
        heads = nn.ModuleDict({task: nn.Linear(24, 10) for task in UNITS})
    optimizer = torch.optim.Adam([*trunk.parameters(), *heads.parameters()], lr=3e-3)
    for _ in range(STEPS):
        rows = torch.randint(len(training.inputs), (BATCH,), generator=generator)

        def losses(rows: Tensor = rows) -> dict[str, Tensor]:
            features = trunk(training.inputs[rows])
            return {
                task: unit * cross_entropy(heads[task](features), training.labels[task][rows])
                for task, unit in UNITS.items()
            }

        optimizer.zero_grad()
        mtctl.balance(losses(), balancer=balancer)
        optimizer.step()
        if balancer.follows:
            balancer.follow(losses())
    with torch.no_grad():
        features = trunk(unseen.inputs)
        return {
            task: (head(features).argmax(1) == unseen.labels[task]).double().mean().item()
            for task, head in heads.items()
        }


@pytest.fixture(scope="module")
def equal() -> list[dict[str, float]]:
    return [accuracies(mtctl.Balancer(), seed) for seed in range(3)]


@pytest.mark.learning
@pytest.mark.parametrize("kind", ["running_mean", "adaptive_scaling", "db_mtl", "nash_mtl", "famo"])
def test_balanced_training_learns_the_task_that_equal_weights_ignore(
    kind: str, equal: list[dict[str, float]]
) -> None:
    """Seeds 0 to 2: equal weights 0.13 to 0.15 and 0.94 to 0.95; the others 0.88 to 0.92 and 0.90 to 0.93."""
    balanced = [accuracies(mtctl.Balancer(kind), seed) for seed in range(3)]
    for plain, better in zip(equal, balanced, strict=True):
        assert better["left"] > plain["left"] + 0.5
        assert better["right"] > plain["right"] - 0.15
    assert fmean(each["left"] for each in balanced) > 0.8
