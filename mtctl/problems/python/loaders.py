"""A user's loaders: batches of an epoch and of a split, on the model's device, with an end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import torch

from mtctl.errors import MtctlError
from mtctl.problems.contract import SeedList
from mtctl.problems.python.batches import Rows, few, iterated, moved
from mtctl.problems.python.training import Training

MOST_BATCHES: Final = 100_000
"""Batches of a loader without a length that are passed over in search of its end."""
MOST_SECONDS: Final = 300.0
"""The time that takes at most: every command would begin with it, which `steps_per_epoch` spares."""


class Loaders:
    """The loaders of a training.

    Args:
        training: of the user.
        place: of the function that has built it.
        name: of that function, as a recipe writes it.
        device: batches are moved there.
        limit: train on the first so many rows only; None: on all.
    """

    def __init__(
        self, training: Training, *, place: str, name: str, device: torch.device, limit: int | None
    ) -> None:
        self._training, self._place, self._name = training, place, name
        self._device, self._limit = device, limit
        self._limited: list[Rows] = []

    @property
    def epoch_length(self) -> int | None:
        """How many batches an epoch has; None where only passing over it tells."""
        if self._limit is not None:
            return None
        return self._training.steps_per_epoch or _length(self._training.train)

    @property
    def ends(self) -> bool:
        """Whether an epoch is known to end."""
        return self._limit is not None or self.epoch_length is not None

    def epoch(self, present: Callable[[Rows], set[str]], wanted: Iterable[str]) -> Iterator[Rows]:
        """Yield the training batches of an epoch: all of one batch where the rows are limited.

        Args:
            present: returns the tasks that a batch has targets of.
            wanted: the tasks that limited rows have to have targets of.
        """
        loader = iterated(_reseeded(self._training.train), "`train`")
        if self._limit is not None:
            return self._few_rows(loader, self._limit, present, set(wanted))
        steps = self._training.steps_per_epoch
        batches = loader if steps is None else self._first(loader, steps)
        return (Rows(moved(batch, self._device)) for batch in batches)

    def _first(self, loader: Iterator[Any], steps: int) -> Iterator[Any]:
        count = 0
        for count, batch in enumerate(islice(loader, steps), 1):  # noqa: B007 - needed after the last one
            yield batch
        if 0 < count < steps:
            raise MtctlError(
                f"{self._place}: `train` ended after {count:,} batches, but steps_per_epoch is {steps:,}",
                hint="lower steps_per_epoch, or leave it out: an epoch then ends with the loader",
            )

    def _few_rows(
        self, loader: Iterator[Any], limit: int, present: Callable[[Rows], set[str]], wanted: set[str]
    ) -> Iterator[Rows]:
        """Yield the first rows of the first batch, and of the first one of each task that it lacks."""
        if not self._limited:
            for batch in self.ending(loader, "train"):
                rows = Rows(few(moved(batch, self._device), limit))
                found = present(rows) & wanted
                if found or not self._limited:
                    self._limited.append(rows)
                    wanted -= found
                if not wanted:
                    break
        yield from self._limited

    def split(self, split: SeedList) -> Iterator[Rows]:
        """Yield the batches of a split."""
        loader = iterated(_reseeded(self._of(split)), f"`{self.named(split)}`")
        return (Rows(moved(batch, self._device)) for batch in loader)

    def named(self, split: SeedList) -> str:
        """Return which of the user's loaders yields a split."""
        return "held_out" if split == "held_out" and self._training.held_out is not None else "validation"

    def _of(self, split: SeedList) -> Iterable[Any]:
        loader: Iterable[Any] = getattr(self._training, self.named(split))
        return loader

    def whole(self, split: SeedList) -> Iterator[Rows]:
        """Yield the batches of a split, and refuse one without an end."""
        batches = self.split(split)
        return batches if _length(self._of(split)) is not None else self.ending(batches, self.named(split))

    def require_end(self) -> None:
        """Refuse validation data without an end, where nobody else passes over all of them."""
        if self._training.held_out is not None and _length(self._training.validation) is None:
            deque(self.whole("monitor"), maxlen=0)

    def ending(self, batches: Iterator[Any], name: str) -> Iterator[Any]:
        """Yield batches of a loader without a length, of which there must be an end.

        Raises:
            MtctlError: none has come after many batches, or a long time.
        """
        began = time.monotonic()
        for count, batch in enumerate(batches, 1):
            seconds = time.monotonic() - began
            if count > MOST_BATCHES or seconds > MOST_SECONDS:
                raise self._endless(name, count, seconds)
            yield batch

    def _endless(self, name: str, count: int, seconds: float) -> MtctlError:
        loader = getattr(self._training, name)
        kind = type(getattr(loader, "dataset", loader)).__name__
        remedy = (
            "say how many batches are an epoch: mtctl.Training(steps_per_epoch=1_000)"
            if name == "train"
            else f"give it an end, such as a list of batches: {name}=list(itertools.islice(stream, 100))"
        )
        return MtctlError(
            f"{self._place}: `{name}` ({kind}) tells no length, and had no end after {count:,} batches in "
            f"{seconds:.0f} s",
            hint=remedy,
        )

    def empty(self, split: SeedList | None = None) -> MtctlError:
        """Return what is said of a loader that yields nothing: that of a split, or of training."""
        return MtctlError(
            f"{self._name}: `{'train' if split is None else self.named(split)}` yields no batch",
            hint="check its data set and drop_last; it must yield its batches anew in every epoch",
        )


def _length(loader: Iterable[Any]) -> int | None:
    """Return how many batches a loader says that it has; None where it does not, as one of a stream."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        return None


def _reseeded(loader: Iterable[Any]) -> Iterable[Any]:
    """Return the loader with its own generators seeded from the global one, the same in every run."""
    word: int | None = None
    for owner in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            word = int(torch.randint(2**62, ())) if word is None else word
            generator.manual_seed(word)
    return loader
