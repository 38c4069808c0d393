"""From a recipe's data to tensors: features and targets of the three splits, planted faults included."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.windows import synthetic
from mtctl.problems.windows.features import NAMES, features
from mtctl.problems.windows.files import read_windows
from mtctl.problems.windows.losses import MISSING
from mtctl.problems.windows.parts import (
    ConstantTargets,
    Fault,
    MissingTargets,
    ScaledTargets,
    ShuffledInputs,
    ShuffledTargets,
    SyntheticWindows,
    WindowsFile,
    WindowsProblem,
)
from mtctl.problems.windows.splits import split
from mtctl.problems.windows.targets import targets
from mtctl.problems.windows.windows import Windows
from mtctl.reading import open_file


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """N windows as the model sees them.

    Args:
        inputs: [N, 105, 12 or 13].
        targets: type [N], ptr [N, 2], binary [N, 105], countdown [N, 105].
        start: [N] first bar of the expansion.
        end: [N] last bar.
    """

    inputs: Tensor
    targets: dict[str, Tensor]
    start: Tensor
    end: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Tensor | slice) -> Dataset:
        """Return the windows at `rows`."""
        targets = {task: target[rows] for task, target in self.targets.items()}
        return Dataset(self.inputs[rows], targets, self.start[rows], self.end[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """What is learned from, what is scored during training, and what the final score is measured on."""

    training: Dataset
    validation: Dataset
    held_out: Dataset


def load(problem: WindowsProblem, seed: int) -> Splits:
    """Return the splits of a run.

    Args:
        problem: says where windows come from and which faults are planted in them.
        seed: of generated training windows; held-out windows are the same for every run.

    Raises:
        MtctlError: the file cannot be read, is wrong, or has too few base windows to split.
    """
    data = problem.data
    if isinstance(data, SyntheticWindows):
        training = _generated(data.windows, seed, 0, data.difficulty, problem.position)
        validation = _generated(data.validation, data.seed, 1, data.difficulty, problem.position)
        held_out = _generated(data.held_out, data.seed, 2, data.difficulty, problem.position)
    else:
        windows = _windows(data)
        rng = np.random.default_rng([data.seed, 3])
        parts = split(windows.base, (data.validation, data.held_out), rng)
        training, validation, held_out = (
            _dataset(windows.take(rows), problem.position)
            for rows in (parts.train, parts.validation, parts.test)
        )
    clean = training.take(slice(problem.limit)), validation, held_out
    # Faults of the three splits draw apart, so that the size of one does not change the others.
    rngs = [np.random.default_rng([seed, 4 + place]) for place in range(3)]
    first = clean[0].targets
    return Splits(*(_spoiled(part, problem, first, rng) for part, rng in zip(clean, rngs, strict=True)))


def definition(problem: WindowsProblem) -> dict[str, Any]:
    """Return what makes scores comparable: where held-out windows come from, and what is asked of them."""
    data = problem.data
    source: dict[str, Any] = data.model_dump(mode="json", exclude={"windows", "validation", "known_as"})
    if isinstance(data, WindowsFile):
        name = Path(data.known_as or data.path).name
        source = {**source, "path": name, "sha256": _digest(data.path, *_stamp(data.path))}
    return {"data": source, "tasks": list(problem.tasks)}


def input_size(problem: WindowsProblem) -> int:
    """Return the number of features per bar."""
    return len(NAMES) + problem.position


@lru_cache(maxsize=16)
def _generated(count: int, seed: int, stream: int, difficulty: float, position: bool) -> Dataset:
    windows = synthetic.generate(count, np.random.default_rng([seed, stream]), difficulty)
    return _dataset(windows, position)


def _windows(data: WindowsFile) -> Windows:
    """Return a file's windows; where it is gone, say how a recipe is told its new place."""
    try:
        return _read(data.path, *_stamp(data.path))
    except MtctlError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        moved = "if it has moved, say where it is now: -o problem.data.path=…"
        hint = f"{error.hint}; {moved}" if error.hint else moved
        raise MtctlError(f"{error.message} (problem.data.path)", hint=hint) from error


@lru_cache(maxsize=2)
def _read(path: str, _size: int, _changed: int) -> Windows:
    return read_windows(Path(path))


@lru_cache(maxsize=2)
def _digest(path: str, _size: int, _changed: int) -> str:
    with open_file(Path(path), remedy=None) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: str) -> tuple[int, int]:
    """Tell one content of a file from another, so that it is read once for all trials of a diagnosis."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0  # reading it says what is wrong
    return found.st_size, found.st_mtime_ns


def _dataset(windows: Windows, position: bool) -> Dataset:
    truth = targets(windows)
    return Dataset(
        torch.from_numpy(features(windows.bars, position)),
        {
            "type": torch.from_numpy(truth.type),
            "ptr": torch.from_numpy(truth.ptr),
            "binary": torch.from_numpy(truth.binary),
            "countdown": torch.from_numpy(truth.countdown),
        },
        torch.from_numpy(windows.start),
        torch.from_numpy(windows.end),
    )


def _spoiled(
    data: Dataset, problem: WindowsProblem, training: Mapping[str, Tensor], rng: np.random.Generator
) -> Dataset:
    for fault in problem.faults:
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
