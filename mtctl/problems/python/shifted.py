"""Targets of other rows: a user's training in which a task's targets are some rows further on in its data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch.utils.data import DataLoader, Dataset

from mtctl.errors import MtctlError
from mtctl.problems.python.batches import forward_of, selected, target_of
from mtctl.problems.python.training import Batch, Task, Training

_ROWS, _FURTHER_ON = "rows", "further_on"


def has_order(training: Training) -> bool:
    """Say whether the data have an order of rows that targets can be shifted in."""
    return bool(training.tasks) and _ordered(training.train) and _ordered(training.validation)


def shifted(training: Training, shifts: Mapping[str, int]) -> Training:
    """Return a training in which row i of a task has the target of row i + k of the same data set.

    The last rows get those of the first. Batches, their order and the inputs stay as they are.

    Args:
        training: of the user.
        shifts: k by task; others keep their targets.

    Raises:
        MtctlError: a loader is no `DataLoader` of a data set with numbered rows.
    """
    shifts = {task: rows for task, rows in shifts.items() if rows and task in training.tasks}
    if not shifts:
        return training
    names = list(training.tasks)
    return replace(
        training,
        train=_loader(training.train, shifts, "train"),
        validation=_loader(training.validation, shifts, "validation"),
        held_out=training.held_out and _loader(training.held_out, shifts, "held_out"),
        forward=partial(_forwarded, forward_of(training)),
        tasks={
            name: replace(
                task,
                target=partial(_target, name, task, names.index(name), len(names)),
                mask=None if task.mask is None else partial(_mask, name, task),
            )
            for name, task in training.tasks.items()
        },
    )


def _forwarded(forward: Any, batch: Batch) -> Any:
    return forward(batch[_ROWS])


def _of(name: str, batch: Batch) -> Batch:
    return batch[_FURTHER_ON].get(name, batch[_ROWS])


def _target(name: str, task: Task, place: int, tasks: int, batch: Batch) -> Any:
    return target_of(name, task, place, tasks, _of(name, batch))


def _mask(name: str, task: Task, batch: Batch) -> Any:
    assert task.mask is not None
    return selected(task.mask, _of(name, batch), f"the mask of `{name}`")


def _ordered(loader: Iterable[Batch]) -> bool:
    if not isinstance(loader, DataLoader) or loader.batch_sampler is None:
        return False
    return all(hasattr(loader.dataset, name) for name in ("__len__", "__getitem__"))


def _loader(loader: Iterable[Batch], shifts: Mapping[str, int], name: str) -> DataLoader[Any]:
    """Return a loader of the same batches that also hold the rows whose targets are taken."""
    if not _ordered(loader):
        raise MtctlError(
            f"problem.target_shift: `{name}` has no order of rows to shift targets in",
            hint="it must be a torch DataLoader of a data set with __len__ and __getitem__",
        )
    assert isinstance(loader, DataLoader)
    return DataLoader(
        _WithRowsFurtherOn(loader.dataset, tuple(shifts.values())),
        batch_sampler=loader.batch_sampler,
        num_workers=loader.num_workers,
        collate_fn=_Collated(loader.collate_fn, tuple(shifts)),
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
    )


@dataclass(frozen=True)
class _WithRowsFurtherOn(Dataset[tuple[Any, ...]]):
    """Each row of a data set, with the rows that are some places further on."""

    rows: Any
    shifts: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        count = len(self.rows)
        return self.rows[place], *(self.rows[(place + shift) % count] for shift in self.shifts)


@dataclass(frozen=True)
class _Collated:
    """Batches of the rows, and for each task of the rows whose targets it takes."""

    collate: Any
    tasks: Sequence[str]

    def __call__(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        own, *others = (self.collate(list(part)) for part in zip(*rows, strict=True))
        return {_ROWS: own, _FURTHER_ON: dict(zip(self.tasks, others, strict=True))}
