"""What a run recorded while it trained, as far as comparisons need it: evaluations, conflicts, weights.

A run has thousands of records of more than a thousand characters each, and this needs a few figures of some:
they are cut out of the lines. Where a line is not as `mtctl.engine.metrics` writes it, the whole file is read
and checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from pydantic_core import from_json

from mtctl.engine import layout
from mtctl.history.formats import EvaluationRecord, Run
from mtctl.history.runs import evaluations_and_lines, metrics
from mtctl.statistics import mean_of

ENDS = 0.1
"""Share of a training that counts as its beginning, and as its end: enough units to outweigh one's chance."""
_NO_SIGNALS: Final = (b'"signals":null}', b'"signals": null}')
_SIGNALS: Final = b'"signals":'
_MEASURED: Final = b'"measured":'
_CONFLICT_RATE: Final = b'"conflict_rate":'
_WEIGHT: Final = b'"weight":'


@dataclass(frozen=True, slots=True)
class Course:
    """A run's training.

    Args:
        evaluations: during training, in order of time.
        conflict_rate: share of measured pairs of tasks whose gradients opposed each other, over all updates;
            None if none was measured.
        first: each task's mean weight over the first tenth of the units with an update; empty without one.
        last: over the last tenth.
    """

    evaluations: tuple[EvaluationRecord, ...]
    conflict_rate: float | None
    first: Mapping[str, float]
    last: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Moment:
    """What the updates of one unit of training showed.

    Args:
        unit: its number.
        measured: updates whose gradients were measured.
        conflict_rate: share of pairs of tasks whose gradients opposed each other; None if none was measured.
        weight: each task's mean weight; None for a task without one.
    """

    unit: int
    measured: int
    conflict_rate: float | None
    weight: Mapping[str, float | None]


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
    evaluations, lines = evaluations_and_lines(run.path)
    try:
        seen = [line for line in lines if not line.endswith(_NO_SIGNALS)]
        end = max(1, round(ENDS * len(seen)))
        rate = _mean_rate(_conflicts(seen))
        first, last = _means(map(_weights, seen[:end])), _means(map(_weights, seen[-end:]))
    except (ValueError, TypeError, AttributeError):
        checked = list(_checked(run))
        end = max(1, round(ENDS * len(checked)))
        rate = _mean_rate((each.conflict_rate, each.measured) for each in checked)
        first, last = (_means(each.weight for each in part) for part in (checked[:end], checked[-end:]))
    return Course(evaluations, rate, first, last)


def moments(run: Run) -> list[Moment]:
    """Return what each unit of training with an update showed, in order of time.

    Raises:
        MtctlError: if the records are missing or corrupt.
    """
    _, lines = evaluations_and_lines(run.path)
    try:
        seen = [line for line in lines if not line.endswith(_NO_SIGNALS)]
        key = f'"{run.unit}":'.encode()
        return [
            Moment(_unit(line, key), measured, rate, _weights(line))
            for line, (rate, measured) in zip(seen, _conflicts(seen), strict=True)
        ]
    except (ValueError, TypeError, AttributeError):
        return list(_checked(run))


def _unit(line: bytes, key: bytes) -> int:
    start = line.index(key) + len(key)
    return int(line[start : line.index(b",", start)])


def _conflicts(lines: Iterable[bytes]) -> Iterator[tuple[float | None, int]]:
    """Yield each line's conflict rate and measured updates. Raises ValueError where there are none."""
    # Few calls, from the nearer end: a comparison of long runs consists of this.
    for line in lines:
        if not line.endswith(b"}}"):
            raise ValueError("cut off")
        start = line.index(_MEASURED) + len(_MEASURED)
        measured = int(line[start : line.index(b",", start)])
        start = line.rindex(_CONFLICT_RATE, start) + len(_CONFLICT_RATE)
        end = line.find(b",", start)
        text = line[start:end] if end >= 0 else line[start:-2]
        if text.endswith(b"null"):
            yield None, measured
            continue
        rate = float(text)
        if not 0 <= rate <= 1:
            raise ValueError("no share")
        yield rate, measured


def _weights(line: bytes) -> dict[str, float | None]:
    """Return the weights of a line. Raises ValueError or TypeError where they are not numbers."""
    start = line.index(_WEIGHT, line.index(_SIGNALS)) + len(_WEIGHT)
    found: dict[str, Any] = from_json(line[start : line.index(b"}", start) + 1])
    if not all(value is None or isfinite(value) for value in found.values()):
        raise ValueError("not finite")
    return found


def _mean_rate(conflicts: Iterable[tuple[float | None, int]]) -> float | None:
    """Return the mean conflict rate, each unit counted by its measured updates."""
    total, measured = 0.0, 0
    for rate, count in conflicts:
        if rate is not None:
            total += rate * count
            measured += count
    return total / measured if measured else None


def _means(weights: Iterable[Mapping[str, float | None]]) -> dict[str, float]:
    """Return each task's mean, of the tasks that have a weight."""
    columns: dict[str, list[float]] = {}
    for each in weights:
        for task, value in each.items():
            if value is not None:
                columns.setdefault(task, []).append(value)
    return {task: mean_of(values) for task, values in columns.items()}


def _checked(run: Run) -> Iterator[Moment]:
    for record in metrics(run.path, run.tasks):
        if not isinstance(record, EvaluationRecord) and (signals := record.signals) is not None:
            unit = record.episode if record.kind == "episode" else record.epoch
            yield Moment(unit, signals.measured, signals.conflict_rate, signals.weight)
