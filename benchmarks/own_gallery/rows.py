"""Targets changed in the data themselves, row by row, so that a row has the same one in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mtctl.problems.python.training import Training

Change = Callable[[Tensor, torch.Generator], Tensor]
"""Returns other targets [N, …] in the place of some."""


def on_rows(training: Training, task: str, change: Change) -> Training:
    """Return a training in which the targets of one task are others, in all parts of the data.

    Rows are tuples (inputs, targets of each task); loaders by task have rows (inputs, target) of their own.
    """
    place = 1 + list(training.tasks).index(task)

    def changed(loader: Iterable[Any] | None, seed: int) -> Any:
        generator = torch.Generator().manual_seed(seed)
        if isinstance(loader, DataLoader):
            return _with(loader, place, change, generator)
        mixture: Any = copy(loader)
        one = _with(mixture.loaders[task], 1, change, generator)
        mixture.loaders = {**mixture.loaders, task: one}
        return mixture

    return replace(
        training,
        train=changed(training.train, 0),
        validation=changed(training.validation, 1),
        held_out=changed(training.held_out, 2),
    )


def _with(loader: DataLoader[Any], place: int, change: Change, generator: torch.Generator) -> DataLoader[Any]:
    rows: Any = loader.dataset
    columns = [torch.stack(column) for column in zip(*(rows[i] for i in range(len(rows))), strict=True)]
    columns[place] = change(columns[place], generator)
    return DataLoader(TensorDataset(*columns), batch_sampler=loader.batch_sampler)
