"""All that a run recorded, as values by unit: what diagnoses, figures and reports show is asked of this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from mtctl.engine import layout
from mtctl.engine.metrics import encoded
from mtctl.errors import MtctlError
from mtctl.history.columns import decode_columns
from mtctl.history.decoding import REMEDY, decode_records, foreign_task, read_lines
from mtctl.history.documents import show
from mtctl.history.formats import Run
from mtctl.history.records import RECORDS, EvaluationRecord, UnitRecord
from mtctl.history.series import Array, Integers, Series
from mtctl.history.summary import TrainingSummary, summarise_training

PAIRS: Final = ("cosine", "cosine_sd")
"""Signals of pairs of tasks, "a|b"."""
_OF_MEASURED: Final = ("gradient_norm", "gradient_share", "own_gradient_norm", *PAIRS)
"""Signals that are means over the updates whose gradients were measured."""
_NOTHING: Final = Series(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True)
class History:
    """What a run recorded: N units of training, of which M had an update.

    Args:
        tasks: the run's.
        scored: what its evaluations score: the tasks, or what they achieve together.
        units: their numbers, [N].
        updates: made until the last record.
        figures: by name and task, of the units in which the task had a part.
        endings: how the task's parts of units ended, or other words, by name and task.
        extra: figures of units as a whole, by name, [N]; NaN where a unit has none.
        learned: the numbers of the units that had an update, [M].
        spent: their updates, [M].
        measured: of these, those whose gradients were measured, [M].
        conflict_rate: share of measured pairs of tasks whose gradients opposed each other, [M]; NaN where
            none was measured.
        signals: by name, and by task or pair of tasks, [M]; NaN where there is no value.
        evaluations: during training, in order of time.
        cut_off: says that the last line was cut off and left out; None if it was not.
    """

    tasks: tuple[str, ...]
    scored: tuple[str, ...]
    units: Integers
    updates: int
    figures: Mapping[tuple[str, str], Series]
    endings: Mapping[tuple[str, str], tuple[str, ...]]
    extra: Mapping[str, Array]
    learned: Integers
    spent: Array
    measured: Array
    conflict_rate: Array
    signals: Mapping[str, Mapping[str, Array]]
    evaluations: tuple[EvaluationRecord, ...]
    cut_off: str | None = None

    def figure(self, name: str, task: str) -> Series:
        """Return a figure of a task over the units that have it."""
        return self.figures.get((name, task), _NOTHING)

    def ending(self, name: str, task: str) -> tuple[str, ...]:
        """Return the words under a name of a task, of each unit that has some."""
        return self.endings.get((name, task), ())

    def signal(self, name: str, key: str) -> Series:
        """Return a signal of a task or a pair of tasks over the units that have it."""
        values = self.signals.get(name, {}).get(key)
        if values is None:
            return _NOTHING
        return self._known(values, self.measured if name in _OF_MEASURED else self.spent)

    @property
    def conflicts(self) -> Series:
        """The conflict rate over the units in which one was measured."""
        return self._known(self.conflict_rate, self.measured)

    def _known(self, values: Array, updates: Array) -> Series:
        known = ~np.isnan(values)
        return Series(self.learned[known], values[known], updates[known])

    def losses(self, task: str) -> Array:
        """Return a task's mean training loss in each unit, original units where records have them."""
        recorded = self.figure("loss", task).values
        return recorded if len(recorded) else self.signal("loss", task).values

    def last(self, name: str, key: str) -> float | None:
        """Return the latest value of a signal; None if there never was one."""
        values = self.signal(name, key).values
        return float(values[-1]) if len(values) else None

    def latest(self) -> dict[str, dict[str, float | None]]:
        """Return the latest value of each signal of tasks."""
        names = [name for name in self.signals if name not in PAIRS]
        return {name: {task: self.last(name, task) for task in self.tasks} for name in names}

    @property
    def pairs(self) -> tuple[str, ...]:
        """The pairs of tasks that have cosines."""
        return tuple(self.signals.get("cosine", ()))

    def held_out(self, task: str, measure: str) -> Array:
        """Return a measure of a task in the evaluations during training."""
        values = (
            record.tasks[task].measures.get(measure) for record in self.evaluations if task in record.tasks
        )
        return np.array([value for value in values if value is not None])

    @property
    def summary(self) -> TrainingSummary:
        """What a comparison asks: the same as `mtctl.history.summary.recorded_summary` reads."""
        counted = {
            "updates": self.spent,
            "measured": self.measured,
            "conflict_rate": self.conflict_rate,
        }
        return summarise_training(self.evaluations, counted, self.signals)


HistoryReader: TypeAlias = Callable[[Run], History | None]
"""Returns what a run recorded; None if its records were not kept."""


class Histories:
    """What runs recorded, each read once, however often it is asked for."""

    def __init__(self) -> None:
        self._read: dict[Path, History | None] = {}

    def of(self, run: Run) -> History | None:
        """Return what a run recorded; None if its records were not kept.

        Raises:
            MtctlError: the records are corrupt, or of tasks that the run does not have.
        """
        if run.path not in self._read:
            self._read[run.path] = recorded_history(run)
        return self._read[run.path]

    def summary(self, run: Run) -> TrainingSummary | None:
        """Return a run's training, as a comparison asks for it."""
        history = self.of(run)
        return None if history is None else history.summary


def recorded_history(run: Run) -> History | None:
    """Return what a run recorded; None if its records were not kept.

    Raises:
        MtctlError: the records are corrupt, or of tasks that the run does not have.
    """
    return read_history(run) if (run.path / layout.METRICS).exists() else None


def read_history(run: Run) -> History:
    """Return what a run recorded.

    Raises:
        MtctlError: the records are missing, corrupt, or of tasks that the run does not have.
    """
    content, cut_off = read_lines(run)
    return _history(content, run.path / layout.METRICS, run.tasks, run.scored, cut_off)


def observed_history(
    records: Iterable[Mapping[str, Any]], tasks: Sequence[str], scored: Sequence[str] | None = None
) -> History:
    """Return what an observer of a training saw, as if it had been read from a file.

    Args:
        records: of units and evaluations.
        tasks: that the training has.
        scored: what its evaluations score; the tasks if left out.
    """
    content = b"".join(map(encoded, map(dict, records)))
    known = tuple(tasks)
    return _history(content, Path(layout.METRICS), known, known if scored is None else tuple(scored), None)


def _history(
    content: bytes, file: Path, tasks: tuple[str, ...], scored: tuple[str, ...], cut_off: str | None
) -> History:
    records, learned, counted, signals = decode_columns(content, file)
    units = [record for record in records if type(record) is not EvaluationRecord]
    extra = dict.fromkeys(name for unit in units for name in unit.extra)
    figures, endings = _by_task(units)
    history = History(
        tasks=tasks,
        scored=scored,
        units=np.array([unit.unit for unit in units], dtype=np.int64),
        updates=units[-1].updates if units else 0,
        figures=figures,
        endings=endings,
        extra={name: np.array([unit.extra.get(name) for unit in units], dtype=np.float64) for name in extra},
        learned=np.array([unit.unit for unit in learned], dtype=np.int64),
        spent=counted["updates"],
        measured=counted["measured"],
        conflict_rate=counted["conflict_rate"],
        signals=signals,
        evaluations=tuple(record for record in records if type(record) is EvaluationRecord),
        cut_off=cut_off,
    )
    _refuse_foreign(history, content, file)
    return history


def _by_task(
    units: Iterable[Any],
) -> tuple[dict[tuple[str, str], Series], dict[tuple[str, str], tuple[str, ...]]]:
    """Return the tasks' figures, and their words, by name and task."""
    by_task: dict[str, list[tuple[int, Mapping[str, float | str]]]] = {}
    for unit in units:
        for task, figures in unit.tasks.items():
            by_task.setdefault(task, []).append((unit.unit, figures))
    numbers, words = {}, {}
    for task, parts in by_task.items():
        for name in dict.fromkeys(chain.from_iterable(figures for _, figures in parts)):
            known = [(unit, figures[name]) for unit, figures in parts if name in figures]
            texts = tuple(value for _, value in known if isinstance(value, str))
            if texts:
                words[name, task] = texts
            if len(texts) < len(known):
                pairs = [(unit, value) for unit, value in known if not isinstance(value, str)]
                places, values = zip(*pairs, strict=True)
                numbers[name, task] = Series(
                    np.array(places, dtype=np.int64), np.array(values, dtype=np.float64), np.ones(len(pairs))
                )
    return numbers, words


def _refuse_foreign(history: History, content: bytes, file: Path) -> None:
    """Refuse records of tasks that the run does not have, and signals whose names no terminal can show."""
    for name in history.signals:
        if not name.strip() or not name.isprintable():
            raise MtctlError(f"{file}: signal {show(name)} should be printable text", hint=REMEDY)
    by_task = [name for name in history.signals if name not in PAIRS]
    named = {task for _, task in (*history.figures, *history.endings)}.union(
        *(history.signals[name] for name in by_task), *(record.tasks for record in history.evaluations)
    )
    foreign = named.difference(history.tasks, history.scored)
    for number, record in enumerate(decode_records(content, file, RECORDS) if foreign else (), 1):
        names = set(record.tasks)
        if isinstance(record, UnitRecord):
            names.update(*(record.by_name(name) for name in by_task))
        if task := next(iter(names & foreign), None):
            raise foreign_task(file, number, task)
