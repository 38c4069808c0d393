"""A method's trainings as lines of few points: evaluations where they were made, the rest in stretches.

A training is divided into stretches of equal length, and what is shown of a stretch is the mean over the
episodes or epochs in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from mtctl.analysis.methods import Method
from mtctl.analysis.plot_data import BINS, Array, Training
from mtctl.history.course import moments, recorded_course
from mtctl.history.formats import EpisodeRecord, EpochRecord, EvaluationRecord, Run
from mtctl.history.runs import evaluations_and_lines, metrics, read_run
from mtctl.statistics import estimate

Values = Mapping[str, float]
MOST_STRETCHES = BINS
"""As many as the figures of `mtctl compare --plot` have."""
_BEFORE_SIGNALS = b',"signals":'


@dataclass(frozen=True, slots=True)
class Stretches:
    """A training in stretches of equal length: `MOST_STRETCHES`, or one for each unit of a short training.

    Args:
        length: units of training, of the longest run.
    """

    length: int

    @property
    def count(self) -> int:
        """Return how many there are."""
        return max(1, min(MOST_STRETCHES, self.length))

    @property
    def middles(self) -> Array:
        """Return the mean number of the units in each: [count]."""
        middles: Array = (np.arange(self.count) + 0.5) / self.count * self.length + 0.5
        return middles

    def means(self, pairs: Iterable[tuple[int, float]]) -> Array:
        """Return the mean in each stretch of (unit, value) pairs: [count], NaN without any.

        A run that is under way may have gone on since its length was read: what is beyond is in the last one.
        """
        values = np.array(list(pairs), dtype=np.float64).reshape(-1, 2)
        places = (values[:, 0].astype(int) - 1) * self.count // max(1, self.length)
        places = np.minimum(places, self.count - 1)
        sums = np.bincount(places, values[:, 1], self.count).astype(np.float64)
        return _quotients(sums, np.bincount(places, minlength=self.count))

    def over_runs(self, rows: Sequence[Array]) -> Array:
        """Return the mean over the runs that have a value: [count], NaN where none has."""
        values = np.array(rows, dtype=np.float64).reshape(-1, self.count)
        known = ~np.isnan(values)
        return _quotients(np.where(known, values, 0.0).sum(0), known.sum(0))


def _quotients(sums: Array, counts: Any) -> Array:
    """Return sums over counts, NaN where nothing was counted."""
    means: Array = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means


@dataclass(frozen=True, slots=True)
class Line:
    """A line with a band.

    Args:
        units: episodes or epochs, [P].
        amounts: environment steps or updates, means over runs, [P]; None where that is not known.
        mean: over runs, [P]; NaN where there is no value.
        low: the lower end of the 95 % t interval over runs, [P]; None for one run, which has none.
        high: the upper end.
    """

    units: Array
    amounts: Array | None
    mean: Array
    low: Array | None
    high: Array | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a method's runs recorded.

    Args:
        runs: how many runs have records.
        evaluations: during training, of the average, then of each task; None where there are none.
        training: mean return of training episodes, or training loss, of each task; before them, None for the
            average: losses of different tasks have no common unit.
        weights: mean weight in each stretch by task, [stretches]; without tasks that have none.
        conflicts: mean conflict rate in each stretch, [stretches]; None where none was measured.
    """

    runs: int
    evaluations: tuple[Line | None, ...]
    training: tuple[Line | None, ...]
    weights: Mapping[str, Array]
    conflicts: Array | None


def read_recorded(method: Method, tasks: Sequence[str]) -> Recorded:
    """Return what a method's runs recorded.

    Raises:
        MtctlError: if a file is corrupt.
    """
    found = [(run, course) for run in map(read_run, method.paths) if (course := recorded_course(run))]
    runs = [run for run, _ in found]
    evaluated = [
        tuple(each for each in course.evaluations if all(task in each.tasks for task in tasks))
        for _, course in found
    ]
    stretches = Stretches(max((run.budget.done for run in runs), default=0))
    seen = [_sharing(run, stretches) for run in runs]
    rates = stretches.over_runs([rate for _, rate in seen])
    weights = {
        task: stretches.over_runs([by_task[task] for by_task, _ in seen if task in by_task]) for task in tasks
    }
    return Recorded(
        runs=len(runs),
        evaluations=tuple(
            _evaluations([each for each in evaluated if each], part)
            for part in (tasks, *((task,) for task in tasks))
        ),
        training=(None, *_trainings(runs, tasks, stretches)),
        weights={task: values for task, values in weights.items() if not np.isnan(values).all()},
        conflicts=None if np.isnan(rates).all() else rates,
    )


def _evaluations(runs: Sequence[tuple[EvaluationRecord, ...]], tasks: Sequence[str]) -> Line | None:
    curve = Training((), tuple(runs)).learning_curve(tasks)
    if curve is None:
        return None
    amounts = np.array([[each.amount for each in run[: len(curve.x)]] for run in runs], dtype=np.float64)
    band = len(runs) > 1
    return Line(curve.x, amounts.mean(0), curve.y, curve.low if band else None, curve.high if band else None)


def _trainings(runs: Sequence[Run], tasks: Sequence[str], stretches: Stretches) -> Iterator[Line | None]:
    """Yield a line of each task. A stretch counts where all runs that know the task have a value."""
    read = [_trained(run, tasks, stretches) for run in runs]
    for task in tasks:
        rows = np.array([each[task] for each in read if not np.isnan(each[task]).all()])
        complete = ~np.isnan(rows).any(0) if len(rows) else np.zeros(1, dtype=bool)
        if not complete.any():
            yield None
            continue
        found = [estimate(column) for column in rows.T[complete].tolist()]
        mean = np.array([each.mean for each in found])
        ends = np.array([(each.interval.low, each.interval.high) for each in found if each.interval])
        low, high = ends.T if len(ends) else (None, None)
        yield Line(stretches.middles[complete], None, mean, low, high)


def _trained(run: Run, tasks: Sequence[str], stretches: Stretches) -> dict[str, Array]:
    """Return the mean return or loss in each stretch, by task."""
    values: dict[str, list[tuple[int, float]]] = {task: [] for task in tasks}
    for unit, by_task in _records(run):
        for task in values.keys() & by_task.keys():
            values[task].append((unit, by_task[task]))
    return {task: stretches.means(pairs) for task, pairs in values.items()}


def _records(run: Run) -> list[tuple[int, Values]]:
    """Return each unit's number, and its return or losses by task.

    A line's signals are most of it and are not needed here: it is read up to them. Where a line is not as
    `mtctl.engine.metrics` writes it, the whole file is read and checked.
    """
    _, lines = evaluations_and_lines(run.path)
    try:
        return [_unit(json.loads(line[: line.index(_BEFORE_SIGNALS)] + b"}")) for line in lines]
    except (ValueError, TypeError, KeyError, AttributeError):
        checked = (
            each for each in metrics(run.path, run.tasks) if isinstance(each, EpisodeRecord | EpochRecord)
        )
        return [
            (each.episode, {each.task: each.episode_return})
            if isinstance(each, EpisodeRecord)
            else (each.epoch, each.loss)
            for each in checked
        ]


def _unit(record: dict[str, Any]) -> tuple[int, Values]:
    played = record["kind"] == "episode"
    values = {record["task"]: record["return"]} if played else record["loss"]
    unit = record[record["kind"]]
    if not isinstance(unit, int) or unit < 1 or not all(isfinite(value) for value in values.values()):
        raise ValueError("no record")
    return unit, values


def _sharing(run: Run, stretches: Stretches) -> tuple[dict[str, Array], Array]:
    """Return the mean weights by task, and the mean conflict rate, in each stretch."""
    seen = moments(run)
    tasks = dict.fromkeys(task for each in seen for task in each.weight)
    weights = {
        task: stretches.means(
            (each.unit, value) for each in seen if (value := each.weight.get(task)) is not None
        )
        for task in tasks
    }
    rates = ((each.unit, each.conflict_rate) for each in seen if each.conflict_rate is not None)
    return weights, stretches.means(rates)
