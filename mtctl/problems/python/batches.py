"""A user's batches: moved to a device, cut to a few rows, and what of them are a task's targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.python.builder import call
from mtctl.problems.python.training import Batch, Select, Task, Training


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch on its device.

    Args:
        batch: as the loader yielded it.
        first: how many of its rows count, from its start; None for all.
        together: the batches of one update, where there are several; `batch` is then None.
    """

    batch: Any
    first: int | None = None
    together: tuple[Rows, ...] = ()

    @property
    def parts(self) -> tuple[Rows, ...]:
        """The batches of which this consists."""
        return self.together or (self,)


def mapped(batch: Any, change: Callable[[Tensor], Any]) -> Any:
    """Return a batch with its tensors changed; tuples, lists and mappings stay what they are."""
    match batch:
        case Tensor():
            return change(batch)
        case Mapping():
            changed = {key: mapped(value, change) for key, value in batch.items()}
            return changed if type(batch) is dict else _alike(batch, changed)
        case tuple() if hasattr(batch, "_fields"):
            return type(batch)(*(mapped(value, change) for value in batch))
        case tuple() | list():
            return type(batch)(mapped(value, change) for value in batch)
        case _:
            return batch


def _alike(batch: Any, changed: dict[Any, Any]) -> Any:
    """Return a mapping of a batch's own class, such as transformers' BatchEncoding, where it can be made."""
    try:
        return type(batch)(changed)
    except Exception:  # noqa: BLE001 - a class of the user's
        return changed


def moved(batch: Any, device: torch.device) -> Any:
    """Return a batch on a device."""
    return mapped(batch, lambda tensor: tensor.to(device, non_blocking=True))


def tensors(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from tensors(value)
    elif isinstance(batch, tuple | list):
        for value in batch:
            yield from tensors(value)


def row_count(batch: Any) -> int | None:
    """Return how many rows the tensors of a batch agree on; None where they do not."""
    counts = {len(tensor) for tensor in tensors(batch) if tensor.dim()}
    return counts.pop() if len(counts) == 1 else None


def by_task(batch: Any) -> bool:
    """Say whether a batch is {task: (inputs, targets)}: rows of its own for each task that it has."""
    return isinstance(batch, Mapping) and all(
        isinstance(part, tuple | list) and len(part) > 1 for part in batch.values()
    )


def few(batch: Any, count: int) -> Any:
    """Return the first rows of a batch; the whole batch where its tensors do not agree on rows."""
    if by_task(batch):
        return {task: few(part, count) for task, part in batch.items()}
    rows = row_count(batch)
    return batch if rows is None or rows <= count else mapped(batch, lambda t: t[:count] if t.dim() else t)


def selected(select: Select, batch: Any, what: str) -> Any:
    """Return what a selection takes from a batch.

    Raises:
        MtctlError: the batch has no such key or place, or the user's function fails.
    """
    if callable(select):
        return call(what, select, batch)
    try:
        return batch[select]
    except (KeyError, IndexError, TypeError) as error:
        raise MtctlError(
            f"{what} is `{select}` of the batch, which it does not have: {shape_of(batch)}",
            hint="name a key or place of the batch, or give a function: target=lambda batch: batch[1]",
        ) from error


def target_of(name: str, task: Task, place: int, tasks: int, batch: Any) -> Any:
    """Return a task's targets in a batch; None where it has none.

    Args:
        name: of the task.
        task: itself.
        place: among the tasks.
        tasks: how many there are.
        batch: what the loader yielded.
    """
    what = f"the target of `{name}`"
    if task.target is not None:
        return selected(task.target, batch, what)
    if by_task(batch):
        return batch[name][-1] if name in batch else None
    if isinstance(batch, Mapping):
        if name in batch:
            return batch[name]
    elif isinstance(batch, tuple | list) and len(batch) > 1:
        last = batch[-1]
        if isinstance(last, Mapping):
            return last.get(name)
        if len(batch) == 1 + tasks:
            return batch[1 + place]
    raise MtctlError(
        f"{what} is not found in the batch: {shape_of(batch)}",
        hint=f'say where it stands: mtctl.Task(…, target="{name}") or target=lambda batch: batch[1]',
    )


def forward_of(training: Training) -> Callable[[Batch], Any]:
    """Return what makes outputs of a batch: the user's function, or the model on the batch's inputs."""
    if training.forward is not None:
        return training.forward
    model = training.model

    def forward(batch: Batch) -> Any:
        if not isinstance(batch, tuple | list):
            return model(batch)
        inputs = batch[0]
        return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)

    return forward


def shape_of(batch: Any) -> str:
    """Return what a batch is, in a few words."""
    match batch:
        case Tensor():
            return f"a tensor {list(batch.shape)}"
        case Mapping():
            return "a mapping with " + ", ".join(f"`{key}`" for key in list(batch)[:10])
        case tuple() | list():
            return f"a {type(batch).__name__} of {len(batch)}: " + ", ".join(map(shape_of, batch[:6]))
        case _:
            return type(batch).__name__


def iterated(loader: Iterable[Any], what: str) -> Iterator[Any]:
    """Yield what a user's loader yields.

    Raises:
        MtctlError: it fails.
    """
    iterator = call(what, iter, loader)
    end = object()
    while (batch := call(what, next, iterator, end)) is not end:
        yield batch
