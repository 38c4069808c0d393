"""What a comparison asks of a run's training: evaluations, conflicts, and weights at both ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from mtctl.engine import layout
from mtctl.history.decoding import decode_records, read_lines
from mtctl.history.formats import Run
from mtctl.history.records import (
    ByName,
    Count,
    EvaluationRecord,
    Share,
)
from mtctl.history.series import Array, at_ends, weighted_mean


@dataclass(frozen=True, slots=True)
class Course:
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


CourseReader: TypeAlias = Callable[[Run], Course | None]
"""Returns a run's training; None if its records were not kept."""


class _Conflicts(Struct, gc=False):
    measured: Count
    conflict_rate: Share | None


class _Weights(Struct, gc=False):
    updates: Count
    weight: ByName


class _UnitConflicts(Struct, tag_field="kind", tag="unit", gc=False):
    signals: _Conflicts | None


class _UnitWeights(Struct, tag_field="kind", tag="unit", gc=False):
    signals: _Weights | None


class _Evaluation(Struct, tag_field="kind", tag="evaluation", gc=False):
    """An evaluation of which nothing is asked."""


_CONFLICTS: Final = msgspec.json.Decoder(_UnitConflicts | EvaluationRecord)
_WEIGHTS: Final = msgspec.json.Decoder(_UnitWeights | _Evaluation)


def recorded_course(run: Run) -> Course | None:
    """Return a run's training; None if its records were not kept.

    Raises:
        MtctlError: if the records are corrupt.
    """
    return read_course(run) if (run.path / layout.METRICS).exists() else None


def read_course(run: Run) -> Course:
    """Return a run's training.

    Raises:
        MtctlError: if the records are missing or corrupt.
    """
    (content, _), file = read_lines(run), run.path / layout.METRICS
    records = decode_records(content, file, _CONFLICTS)
    learned = [
        (line, record.signals)
        for line, record in enumerate(records)
        if isinstance(record, _UnitConflicts) and record.signals is not None
    ]
    rates = np.array([signals.conflict_rate for _, signals in learned], dtype=np.float64)
    measured = np.array([signals.measured for _, signals in learned], dtype=np.float64)
    first: Mapping[str, float] = {}
    last: Mapping[str, float] = {}
    if learned:
        # Of these few lines only: hundreds of long runs consist of the others.
        head, tail = at_ends(len(learned))
        until, since = learned[head][-1][0] + 1, learned[tail][0][0]
        lines = content.split(b"\n", until)[:until]
        first = _mean_weights(lines, file, number=1)
        lines = content.rsplit(b"\n", len(records) - since + 1)[since - len(records) - 1 : -1]
        last = _mean_weights(lines, file, number=since + 1)
    evaluations = tuple(record for record in records if isinstance(record, EvaluationRecord))
    return Course(evaluations, weighted_mean(rates, measured), first, last)


def _mean_weights(lines: Sequence[bytes], file: Path, *, number: int) -> dict[str, float]:
    """Return each task's mean weight in lines of which the first has this number."""
    records = decode_records(b"".join(line + b"\n" for line in lines), file, _WEIGHTS, first=number)
    signals = [
        each.signals for each in records if isinstance(each, _UnitWeights) and each.signals is not None
    ]
    updates = np.array([each.updates for each in signals], dtype=np.float64)
    tasks = dict.fromkeys(task for each in signals for task in each.weight)
    return mean_weights(
        {task: np.array([each.weight.get(task) for each in signals], dtype=np.float64) for task in tasks},
        updates,
    )


def mean_weights(weights: Mapping[str, Array], updates: Array) -> dict[str, float]:
    """Return each task's mean weight over all updates, of the tasks that have one.

    Args:
        weights: by task, [units].
        updates: of each unit, [units].
    """
    means = {task: weighted_mean(values, updates) for task, values in weights.items()}
    return {task: mean for task, mean in means.items() if mean is not None}
