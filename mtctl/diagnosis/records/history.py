"""A run's records as curves: losses, returns and signals of each task, in order of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mtctl.diagnosis.records.trends import Values
from mtctl.history.formats import EpisodeRecord, EpochRecord, EvaluationRecord, Record, SignalMeans

_BY_RUN = ("updates", "measured", "conflict_rate")
_BY_PAIR = ("cosine", "cosine_sd")


@dataclass(frozen=True)
class History:
    """What a run recorded.

    Args:
        tasks: names.
        units: the records of its units of training.
        evaluations: those of its evaluations.
    """

    tasks: tuple[str, ...]
    units: tuple[EpisodeRecord | EpochRecord, ...]
    evaluations: tuple[EvaluationRecord, ...]

    @cached_property
    def signals(self) -> tuple[Mapping[str, Any], ...]:
        """Return the signals of the units that had an update, by name as in engine/layout.py."""
        return tuple(unit.signals.model_dump() for unit in self.units if unit.signals is not None)

    @property
    def updates(self) -> int:
        """Return the updates made until the last record."""
        return self.units[-1].updates if self.units else 0

    def losses(self, task: str) -> Values:
        """Return a task's mean training loss in each unit, original units where the record has them."""
        found = [_loss(unit, task) for unit in self.units]
        return np.array([value for value in found if value is not None])

    def series(self, name: str, task: str) -> Values:
        """Return a signal of a task over the units that have it."""
        found = (signals.get(name, {}).get(task) for signals in self.signals)
        return np.array([value for value in found if value is not None])

    def last(self, name: str, task: str) -> float | None:
        """Return the latest value of a signal, None if there never was one."""
        values = self.series(name, task)
        return float(values[-1]) if len(values) else None

    def held_out(self, task: str, measure: str) -> Values:
        """Return a measure of a task in the evaluations during training."""
        found = (
            record.tasks[task].measures.get(measure) for record in self.evaluations if task in record.tasks
        )
        return np.array([value for value in found if value is not None])

    def latest(self) -> dict[str, dict[str, float | None]]:
        """Return each signal's latest figures by task."""
        names = dict.fromkeys(
            name for signals in self.signals for name in signals if name not in (*_BY_RUN, *_BY_PAIR)
        )
        return {name: {task: self.last(name, task) for task in self.tasks} for name in names}

    def pairs(self) -> tuple[str, ...]:
        """Return the pairs of tasks that have cosines, "a|b"."""
        return tuple(dict.fromkeys(pair for signals in self.signals for pair in signals["cosine"]))

    def episodes(self, task: str) -> tuple[EpisodeRecord, ...]:
        """Return a task's episodes."""
        return tuple(unit for unit in self.units if isinstance(unit, EpisodeRecord) and unit.task == task)


def history(records: Iterable[Record], tasks: Sequence[str]) -> History:
    """Return records as curves."""
    units: list[EpisodeRecord | EpochRecord] = []
    evaluations: list[EvaluationRecord] = []
    for record in records:
        if isinstance(record, EvaluationRecord):
            evaluations.append(record)
        else:
            units.append(record)
    return History(tuple(tasks), tuple(units), tuple(evaluations))


def _loss(unit: EpisodeRecord | EpochRecord, task: str) -> float | None:
    if isinstance(unit, EpochRecord):
        return unit.loss.get(task)
    signals: SignalMeans | None = unit.signals
    return None if signals is None else signals.loss.get(task)
