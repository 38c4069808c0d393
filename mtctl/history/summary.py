"""What a comparison asks of a run's training: evaluations, conflicts, and weights at both ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from mtctl.engine import layout
from mtctl.history.columns import decode_columns
from mtctl.history.decoding import read_lines
from mtctl.history.formats import Run
from mtctl.history.records import EvaluationRecord
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


SummaryReader: TypeAlias = Callable[[Run], TrainingSummary | None]
"""Returns a run's training; None if its records were not kept."""
_WEIGHT: Final = "weight"


def recorded_summary(run: Run) -> TrainingSummary | None:
    """Return a run's training; None if its records were not kept.

    Raises:
        MtctlError: if the records are corrupt.
    """
    file = run.path / layout.METRICS
    if not file.exists():
        return None
    records, _, counted, signals = decode_columns(read_lines(run)[0], file, only=(_WEIGHT,))
    evaluations = tuple(record for record in records if type(record) is EvaluationRecord)
    return summarise_training(evaluations, counted, signals)


def summarise_training(
    evaluations: Sequence[EvaluationRecord],
    counted: Mapping[str, Array],
    signals: Mapping[str, Mapping[str, Array]],
) -> TrainingSummary:
    """Return the summary of a training of which M units had an update.

    Args:
        evaluations: in order of time.
        counted: signals of all tasks together by name, [M].
        signals: by name and task, [M]; NaN where there is no value.
    """
    updates, weights = counted["updates"], signals.get(_WEIGHT, {})
    first, last = (
        {
            task: mean
            for task, values in weights.items()
            if (mean := weighted_mean(values[end], updates[end])) is not None
        }
        for end in at_ends(len(updates))
    )
    rate = weighted_mean(counted["conflict_rate"], counted["measured"])
    return TrainingSummary(tuple(evaluations), rate, first, last)
