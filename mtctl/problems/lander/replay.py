"""Experience replay: preallocated rings of packed transitions, one per task or one for all.

A transition is one float32 row, so that sampling is a single gather:

    observation [8] | next observation [8] | action | reward | bootstrap | task

`reward` is the discounted sum over the n steps; `bootstrap` is γⁿ, or 0 after a terminal step, so that the
target is `reward + bootstrap · Q(next)` for every n and every ending.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtctl.problems.lander.agents import Priority
from mtctl.problems.lander.environments import (
    MIRRORED_ORDER,
    MIRRORED_SIGNS,
    Observation,
)
from mtctl.problems.lander.priorities import Priorities
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS

Row = npt.NDArray[np.float32]
NEXT: Final = OBSERVATIONS
ACTION: Final = 2 * OBSERVATIONS
REWARD: Final = ACTION + 1
BOOTSTRAP: Final = ACTION + 2
TASK: Final = ACTION + 3
WIDTH: Final = ACTION + 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Sampled rows, grouped by task.

    Args:
        rows: [N, WIDTH] transitions, all of task 0 first, then of task 1, …
        counts: rows of each task; sums to N.
        places: [N] where the rows are kept, if they were drawn by priority.
        weights: [N] float32 factors of their losses that make up for it.
    """

    rows: Tensor
    counts: tuple[int, ...]
    places: Tensor | None = None
    weights: Tensor | None = None

    @property
    def observations(self) -> Tensor:
        return self.rows[:, :NEXT]

    @property
    def next_observations(self) -> Tensor:
        return self.rows[:, NEXT:ACTION]

    @property
    def actions(self) -> Tensor:
        """[N, 1] int64."""
        return self.rows[:, ACTION : ACTION + 1].long()

    @property
    def rewards(self) -> Tensor:
        return self.rows[:, REWARD]

    @property
    def bootstraps(self) -> Tensor:
        return self.rows[:, BOOTSTRAP]


_ORDER: Final = torch.tensor([*MIRRORED_ORDER, *(NEXT + place for place in MIRRORED_ORDER)])
_SIGNS: Final = torch.tensor(2 * MIRRORED_SIGNS)


def _mirror(rows: Tensor) -> None:
    """Exchange left and right in transitions [N, WIDTH]."""
    seen = rows[:, :ACTION]
    seen.copy_(seen[:, _ORDER].mul_(_SIGNS))
    rows[:, ACTION].neg_().add_(ACTIONS).remainder_(ACTIONS)


class Replay:
    """Rings of equal capacity in one preallocated tensor.

    Args:
        tasks: T.
        rings: T for per-task replay, 1 for mixed replay.
        capacity: transitions in all; each ring holds capacity // rings.
        starts: transitions that each ring needs before it can be sampled.
        generator: where sampled indices come from.
        priority: how rows are drawn by priority; None: every row is as likely as any.
        mirrored: whether every second row of a batch is shown as in a mirror.
    """

    def __init__(
        self,
        tasks: int,
        rings: int,
        capacity: int,
        starts: tuple[int, ...],
        generator: torch.Generator,
        priority: Priority | None = None,
        *,
        mirrored: bool = False,
    ) -> None:
        self.tasks = tasks
        self.rings = rings
        self.ring_capacity = capacity // rings
        self._starts = starts
        self._generator = generator
        self._mirrored = mirrored
        self._priorities = None if priority is None else Priorities(priority, rings, self.ring_capacity)
        self._storage = torch.zeros(rings * self.ring_capacity, WIDTH)
        self._write = self._storage.numpy()
        self._sizes = [0] * rings
        self._heads = [0] * rings
        self._size_column = torch.zeros(rings, 1, dtype=torch.int64)
        self._write_sizes = self._size_column.numpy()
        self._offsets = torch.arange(rings).unsqueeze(1) * self.ring_capacity
        self._marked: list[tuple[int, int]] | None = None
        self._overwritten: list[tuple[int, Row]] = []

    def ready(self, task: int | None = None) -> bool:
        """Whether every ring (or `task`'s) holds what learning starts with."""
        rings = range(self.rings) if task is None else (task,)
        return all(self._sizes[ring] >= self._starts[ring] for ring in rings)

    def add(
        self,
        task: int,
        observation: Observation,
        action: int,
        reward: float,
        following: Observation,
        bootstrap: float,
    ) -> None:
        """Store a transition, over the oldest one of a full ring."""
        ring = task if self.rings > 1 else 0
        head = self._heads[ring]
        place = ring * self.ring_capacity + head
        row = self._write[place]
        if self._sizes[ring] < self.ring_capacity:
            self._sizes[ring] += 1
            self._write_sizes[ring, 0] = self._sizes[ring]
        elif self._marked is not None:
            self._overwritten.append((place, row.copy()))
        row[:NEXT] = observation
        row[NEXT:ACTION] = following
        row[ACTION:] = (action, reward, bootstrap, task)
        if self._priorities is not None:
            self._priorities.add(place)
        self._heads[ring] = (head + 1) % self.ring_capacity

    def sample(self, size: int, task: int | None = None, beta: float = 1.0) -> Batch:
        """Draw with replacement: `size` rows of each task (or of `task` only), or `size` mixed rows.

        Args:
            size: rows.
            task: None for all of them.
            beta: how far the rows' factors make up for their priorities, from 0 to 1.
        """
        batch = self._sample(size, task, beta)
        if self._mirrored:
            _mirror(batch.rows[::2])
        return batch

    def _sample(self, size: int, task: int | None, beta: float) -> Batch:
        if self._priorities is not None:
            return self._sample_by_priority(self._priorities, size, task, beta)
        if self.rings == 1 and self.tasks > 1:
            return self._sample_mixed(size)
        span = slice(None) if task is None else slice(task, task + 1)
        sizes = self._size_column[span]
        draws = torch.rand(len(sizes), size, dtype=torch.float64, generator=self._generator)
        places = draws.mul_(sizes).long().add_(self._offsets[span])
        return Batch(self._storage.index_select(0, places.flatten()), self._counts(size, task))

    def _counts(self, size: int, task: int | None) -> tuple[int, ...]:
        return tuple(size if task in (None, one) else 0 for one in range(self.tasks))

    def _sample_by_priority(self, priorities: Priorities, size: int, task: int | None, beta: float) -> Batch:
        rings = range(self.rings) if task is None or self.rings == 1 else range(task, task + 1)
        draws = torch.rand(len(rings), size, dtype=torch.float64, generator=self._generator)
        places, chances = priorities.draw(rings, draws, self._write_sizes[rings.start : rings.stop, 0])
        factors = chances.pow_(-beta)
        factors.div_(factors.amax(1, keepdim=True))
        where, weights = places.flatten(), factors.flatten().float()
        rows = self._storage.index_select(0, where)
        if self.rings > 1 or self.tasks == 1:
            return Batch(rows, self._counts(size, task), where, weights)
        tasks = rows[:, TASK].long()
        order = tasks.argsort(stable=True)
        counts = tuple(tasks.bincount(minlength=self.tasks).tolist())
        return Batch(rows[order], counts, where[order], weights[order])

    def learned(self, batch: Batch, errors: Tensor) -> None:
        """Take note of the TD errors [N] of a batch: its rows' priorities from now on."""
        if self._priorities is not None and batch.places is not None:
            self._priorities.revise(batch.places, errors)

    def _sample_mixed(self, size: int) -> Batch:
        draws = torch.empty(size, dtype=torch.int64).random_(0, self._sizes[0], generator=self._generator)
        rows = self._storage.index_select(0, draws)
        tasks = rows[:, TASK].long()
        rows = rows.index_select(0, tasks.argsort(stable=True))
        return Batch(rows, tuple(tasks.bincount(minlength=self.tasks).tolist()))

    def rows_by_task(self) -> list[int]:
        """Return how many transitions of each task are held."""
        if self.rings > 1 or self.tasks == 1:
            return list(self._sizes)
        counts: list[int] = (
            self._ring(0)[: self._sizes[0], TASK].long().bincount(minlength=self.tasks).tolist()
        )
        return counts

    def state_dict(self) -> dict[str, Any]:
        """Return the filled part of each ring and where writing goes on."""
        filled = [self._ring(ring)[: self._sizes[ring]].clone() for ring in range(self.rings)]
        priorities = {} if self._priorities is None else self._priorities.state_dict(self._sizes)
        return {"rings": filled, "heads": list(self._heads), **priorities}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state from a file.

        Raises:
            ValueError: it is not one that these rings can have.
        """
        if len(state["rings"]) != self.rings or len(state["heads"]) != self.rings:
            raise ValueError(
                f"{len(state['rings'])} rings with {len(state['heads'])} heads, not {self.rings}"
            )
        for ring, (rows, head) in enumerate(zip(state["rings"], state["heads"], strict=True)):
            self._refuse_ring(ring, rows, head)
        self._heads = list(state["heads"])
        self._marked, self._overwritten = None, []
        for ring, rows in enumerate(state["rings"]):
            self._ring(ring)[: len(rows)] = rows
            self._resize(ring, len(rows))
        if self._priorities is not None:
            self._priorities.load_state_dict(state)

    def mark(self) -> None:
        """Remember what is held now; from here on, what is written over is kept."""
        self._marked = list(zip(self._sizes, self._heads, strict=True))
        self._overwritten = []
        if self._priorities is not None:
            self._priorities.mark()

    def rewind(self) -> None:
        """Hold again what was held at the last mark."""
        if self._marked is None:
            raise RuntimeError("nothing has been marked")
        # The oldest copy of a row that was written over several times comes last.
        for place, row in reversed(self._overwritten):
            self._write[place] = row
        for ring, (size, head) in enumerate(self._marked):
            self._heads[ring] = head
            self._resize(ring, size)
        self._overwritten = []
        if self._priorities is not None:
            self._priorities.rewind()

    def _resize(self, ring: int, size: int) -> None:
        self._sizes[ring] = size
        self._size_column[ring, 0] = size

    def _refuse_ring(self, ring: int, rows: Tensor, head: int) -> None:
        if rows.dim() != 2 or rows.shape[1] != WIDTH or len(rows) > self.ring_capacity:
            raise ValueError(f"ring {ring} of {list(rows.shape)}, not [0 to {self.ring_capacity}, {WIDTH}]")
        full = len(rows) == self.ring_capacity
        if type(head) is not int or not (0 <= head < len(rows) if full else head == len(rows)):
            raise ValueError(f"ring {ring} goes on at {head!r:.40}, with {len(rows)} rows in it")
        actions, tasks = rows[:, ACTION], rows[:, TASK]
        known = (
            tasks == ring
            if self.rings > 1
            else (tasks >= 0) & (tasks < self.tasks) & (tasks == tasks.floor())
        )
        valid = (actions >= 0) & (actions < ACTIONS) & (actions == actions.floor()) & known
        if not (rows.isfinite().all() and valid.all()):
            raise ValueError(f"ring {ring} holds rows that are no transitions")

    def _ring(self, ring: int) -> Tensor:
        return self._storage[ring * self.ring_capacity : (ring + 1) * self.ring_capacity]
