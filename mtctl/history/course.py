"""What a comparison asks of a run's training: evaluations, conflicts, and weights at both ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from mtctl.engine import layout
from mtctl.history.decoding import decode_records, read_lines
from mtctl.history.formats import Run
from mtctl.history.records import RECORDS, ByName, Count, EvaluationRecord, Share
from mtctl.history.series import Array, at_ends, weighted_mean


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """A run's training.

    Args:
        evaluations: during training, in order of time.
        conflict_rate: share of measured pairs of tasks whose gradients opposed each other, over all updates;
            None if none was measured.
        first: each task's mean weight over the updates of the first tenth of the units with an update; empty
            without one.
        last: over the last tenth.
    """

    evaluations: tuple[EvaluationRecord, ...]
    conflict_rate: float | None
    first: Mapping[str, float]
    last: Mapping[str, float]


CourseReader: TypeAlias = Callable[[Run], TrainingSummary | None]
"""Returns a run's training; None if its records were not kept."""


class _Signals(Struct, gc=False):
    """The few signals that are asked for; weights of few units are, so that they are left as they stand."""

    updates: Count
    measured: Count
    conflict_rate: Share | None
    weight: msgspec.Raw


class _Unit(Struct, tag_field="kind", tag="unit", gc=False):
    signals: _Signals | None


_RECORDS: Final = msgspec.json.Decoder(_Unit | EvaluationRecord)
_WEIGHT: Final = msgspec.json.Decoder(ByName)


def recorded_course(run: Run) -> TrainingSummary | None:
    """Return a run's training; None if its records were not kept.

    Raises:
        MtctlError: if the records are corrupt.
    """
    return read_course(run) if (run.path / layout.METRICS).exists() else None


def read_course(run: Run) -> TrainingSummary:
    """Return a run's training.

    Raises:
        MtctlError: if the records are missing or corrupt.
    """
    (content, _), file = read_lines(run), run.path / layout.METRICS
    records = decode_records(content, file, _RECORDS)
    evaluations = tuple(record for record in records if type(record) is EvaluationRecord)
    signals = [record.signals for record in records if type(record) is _Unit and record.signals is not None]
    rates = np.array([each.conflict_rate for each in signals], dtype=np.float64)
    measured = np.array([each.measured for each in signals], dtype=np.float64)
    try:
        first, last = (_mean_weights(signals[end]) for end in at_ends(len(signals)))
    except ValueError:
        decode_records(content, file, RECORDS)  # which says where it is
        raise
    return TrainingSummary(evaluations, weighted_mean(rates, measured), first, last)


def _mean_weights(signals: Sequence[_Signals]) -> dict[str, float]:
    weights = [_WEIGHT.decode(each.weight) for each in signals]
    tasks = dict.fromkeys(task for each in weights for task in each)
    by_task = {task: np.array([each.get(task) for each in weights], dtype=np.float64) for task in tasks}
    return mean_weights(by_task, np.array([each.updates for each in signals], dtype=np.float64))


def mean_weights(weights: Mapping[str, Array], updates: Array) -> dict[str, float]:
    """Return each task's mean weight over all updates, of the tasks that have one.

    Args:
        weights: by task, [units].
        updates: of each unit, [units].
    """
    means = {task: weighted_mean(values, updates) for task, values in weights.items()}
    return {task: mean for task, mean in means.items() if mean is not None}
