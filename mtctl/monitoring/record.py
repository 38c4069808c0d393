"""The records of a loop of one's own: steps gathered into units, as trainings by mtctl record them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from mtctl.balancing.chain import Decision
from mtctl.engine.layout import LARGEST
from mtctl.engine.signals import SignalLog

_STILL: Final = 8
"""Steps below which a head that stands still says nothing: gradients may be accumulated, or rates warm up."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a loop.

    Args:
        number: from 1.
        losses: [T], on whatever device; 0 for tasks that are absent.
        active: [T] bool.
        decision: weights [T].
        measured: [T, T] inner products on shared parameters and [T] norms on the tasks' own, NaN where there
            are none; None where no gradient was measured.
    """

    number: int
    losses: Tensor
    active: Tensor
    decision: Decision
    measured: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, slots=True)
class NonFiniteLoss:
    """A loss that is not finite.

    Args:
        found: e.g. "loss nan".
        step: its number.
    """

    found: str
    step: int


class UnitLog:
    """Gathers steps, and fetches their losses from the device only where somebody asks for them.

    Args:
        tasks: names.
        constants: the loss of each task's best constant answer, where that is known.

    Attributes:
        broken: tasks whose last loss was not finite.
        heads: each task's own parameters, as far as they are known.
        steps: of the unit under way.
    """

    def __init__(self, tasks: tuple[str, ...], constants: Mapping[str, float]) -> None:
        self.tasks, self._constants = tasks, constants
        self._log = SignalLog(tasks, shared=True)
        self._waiting: list[Step] = []
        self._ones = torch.ones(len(tasks), dtype=torch.float64)
        self.broken: dict[str, NonFiniteLoss] = {}
        self.heads: dict[str, tuple[Tensor, ...]] = {}
        self._before: dict[str, list[Tensor]] = {}
        self.steps = 0

    def follow_heads(self, heads: Mapping[str, Iterable[Tensor]]) -> None:
        """Watch how far parameters move, from here on, of tasks whose head was not known."""
        for task, head in heads.items():
            if task not in self.heads and (parameters := tuple(head)):
                self.heads[task] = parameters
                self._before[task] = _copies(parameters)

    def add(self, step: Step) -> None:
        """Take in a step; look at its loss, and those before, where gradients were measured."""
        self._waiting.append(step)
        self.steps += 1
        if step.measured is not None:
            self.fetch()

    def fetch(self) -> None:
        """Bring the losses of the steps since the last call into main memory, in one go."""
        if not self._waiting:
            return
        steps, self._waiting = self._waiting, []
        rows = _in_memory([step.losses for step in steps])
        healthy = not self.broken and bool(torch.stack(rows).isfinite().all())
        for step, losses in zip(steps, rows, strict=True):
            if not healthy:
                self.check(losses, step.active, step.number)
            self._log.keep(losses, step.decision, self._ones, step.active, step.measured)

    def check(self, losses: Tensor, active: Tensor, number: int) -> None:
        """Remember which tasks' losses [T] are not finite."""
        if not self.broken and bool(losses.isfinite().all()):
            return
        for task, loss, there in zip(self.tasks, losses.tolist(), active.tolist(), strict=True):
            if there and math.isfinite(loss):
                self.broken.pop(task, None)
            elif there:
                self.broken.setdefault(task, NonFiniteLoss(f"loss {loss:g}", number))

    def record(self, unit: int, updates: int) -> dict[str, Any]:
        """Return the record of the steps since the last unit; see engine/layout.py.

        Args:
            unit: its number, from 1.
            updates: so far.
        """
        self.fetch()
        signals = self._log.means()
        losses = {} if signals is None else _known(signals["loss"])
        if signals is not None:
            signals["own_update"] = dict.fromkeys(self.tasks) | dict(self._moved())
            if self._constants:
                signals["relative_loss"] = dict.fromkeys(self.tasks) | {
                    task: losses[task] / constant
                    for task, constant in self._constants.items()
                    if task in losses
                }
        return {
            "kind": "unit",
            "unit": unit,
            "tasks": {task: {"loss": loss} for task, loss in losses.items()},
            "extra": {},
            "updates": updates,
            "signals": signals,
        }

    def close(self) -> None:
        """Begin a new unit."""
        self._log.flush()
        self.steps = 0
        self._before = {task: _copies(head) for task, head in self.heads.items()}

    def _moved(self) -> Iterator[tuple[str, float]]:
        """Yield ‖Δθ‖ of each head's parameters since the unit began, per step."""
        for task, head in self.heads.items():
            before = self._before[task]
            lengths = [
                torch.linalg.vector_norm(now.detach() - then) for now, then in zip(head, before, strict=True)
            ]
            moved = float(torch.stack([one.double().cpu() for one in lengths]).square().sum().sqrt())
            if moved < LARGEST and (moved or self.steps >= _STILL):
                yield task, moved / max(1, self.steps)


def _copies(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [one.detach().clone() for one in parameters]


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {task: value for task, value in values.items() if value is not None}


def _in_memory(rows: Sequence[Tensor]) -> list[Tensor]:
    """Return rows [T] as float64 in main memory, fetched together from each device and precision."""
    kinds: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for place, row in enumerate(rows):
        kinds.setdefault((row.device, row.dtype), []).append(place)
    fetched: dict[int, Tensor] = {}
    for places in kinds.values():
        together = torch.stack([rows[place] for place in places]).cpu().double()
        fetched |= dict(zip(places, together, strict=True))
    return [fetched[place] for place in range(len(rows))]
