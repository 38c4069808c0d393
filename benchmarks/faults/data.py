"""Faults of the data: targets and inputs that are dealt out, constant, missing or in another unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.faults.recipe import (
    ConstantTargets,
    Fault,
    MissingTargets,
    ScaledTargets,
    ShuffledInputs,
    ShuffledTargets,
)
from mtctl.problems.windows.data import Dataset, Splits
from mtctl.problems.windows.losses import MISSING


def spoiled(clean: Splits, faults: Sequence[Fault], seed: int) -> Splits:
    """Return splits with the faults of data planted in each of them.

    Args:
        clean: as they are loaded.
        faults: those of other things than data are passed over.
        seed: of the run.
    """
    # The three splits draw apart, so that the size of one does not change the others.
    parts = (clean.training, clean.validation, clean.held_out)
    rngs = [np.random.default_rng([seed, 4 + place]) for place in range(3)]
    return Splits(
        *(_spoiled(part, faults, clean.training.targets, rng) for part, rng in zip(parts, rngs, strict=True))
    )


def _spoiled(
    data: Dataset, faults: Sequence[Fault], training: Mapping[str, Tensor], rng: np.random.Generator
) -> Dataset:
    for fault in faults:
        data = _planted(data, fault, training, rng)
    return data


def _planted(
    data: Dataset, fault: Fault, training: Mapping[str, Tensor], rng: np.random.Generator
) -> Dataset:
    """Return a split with a fault planted, if it is one of data; `training` are the training targets."""
    count = len(data)
    match fault:
        case ShuffledInputs():
            return replace(data, inputs=data.inputs[_permutation(count, rng)])
        case ShuffledTargets(task=task):
            changed = data.targets[task][_permutation(count, rng)]
        case ConstantTargets(task=task):
            constant = training[task][:1] if task in ("type", "ptr") else training[task][:1, :1]
            changed = constant.expand_as(data.targets[task]).clone()
        case MissingTargets(task=task, fraction=fraction):
            rows = torch.from_numpy(rng.random(count) < fraction)
            rows[int(rng.integers(count))] = True
            changed = data.targets[task].clone()
            changed[rows] = MISSING if task == "type" else torch.nan
        case ScaledTargets(task=task, factor=factor):
            changed = data.targets[task] * factor
        case _:
            return data
    return replace(data, targets={**data.targets, task: changed})


def _permutation(count: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.permutation(count))
