"""From a recipe's data to tensors: features and targets of the three splits."""

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
from mtctl.problems.windows.parts import (
    SyntheticWindows,
    WindowsFile,
    WindowsProblem,
)
from mtctl.problems.windows.splits import split
from mtctl.problems.windows.targets import targets
from mtctl.problems.windows.windows import LabelledWindows
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

    def to(self, device: torch.device) -> Dataset:
        """Return the windows on a device."""
        targets = {task: target.to(device) for task, target in self.targets.items()}
        return Dataset(self.inputs.to(device), targets, self.start.to(device), self.end.to(device))

    def shifted(self, shifts: Mapping[str, int]) -> Dataset:
        """Return the windows with a task's targets of the window that is so many places further on."""
        moved = {task: self.targets[task].roll(-rows, 0) for task, rows in shifts.items()}
        return replace(self, targets={**self.targets, **moved})


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """What is learned from, what is scored during training, and what the final score is measured on."""

    training: Dataset
    validation: Dataset
    held_out: Dataset


def load(problem: WindowsProblem, seed: int) -> Splits:
    """Return the splits of a run.

    Args:
        problem: says where windows come from.
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
    limited, shifts = training.take(slice(problem.limit)), problem.target_shift
    return Splits(limited.shifted(shifts), validation.shifted(shifts), held_out.shifted(shifts))


def definition(problem: WindowsProblem) -> dict[str, Any]:
    """Return what makes scores comparable: where held-out windows come from, and what is asked of them."""
    data = problem.data
    source: dict[str, Any] = data.model_dump(mode="json", exclude={"windows", "validation", "known_as"})
    if isinstance(data, WindowsFile):
        name = Path(data.known_as or data.path).name
        source = {**source, "path": name, "sha256": _digest(data.path, *_stamp(data.path))}
    shifts = {"target_shift": problem.target_shift} if any(problem.target_shift.values()) else {}
    return {"data": source, "tasks": list(problem.tasks), **shifts}


def input_size(problem: WindowsProblem) -> int:
    """Return the number of features per bar."""
    return len(NAMES) + problem.position


@lru_cache(maxsize=16)
def _generated(count: int, seed: int, stream: int, difficulty: float, position: bool) -> Dataset:
    windows = synthetic.generate(count, np.random.default_rng([seed, stream]), difficulty)
    return _dataset(windows, position)


def _windows(data: WindowsFile) -> LabelledWindows:
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
def _read(path: str, _size: int, _changed: int) -> LabelledWindows:
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


def _dataset(windows: LabelledWindows, position: bool) -> Dataset:
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
