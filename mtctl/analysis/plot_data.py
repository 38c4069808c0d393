"""What figures show of a comparison: trainings on common axes, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtctl.analysis.bootstrap import bootstrap_interval, interquartile_mean
from mtctl.analysis.comparison import SEED, Comparison
from mtctl.analysis.methods import Method
from mtctl.history.course import Moment, moments, recorded_course
from mtctl.history.formats import EvaluationRecord, Run
from mtctl.history.runs import read_run
from mtctl.statistics import estimate

Array: TypeAlias = NDArray[np.float64]
BINS = 50
"""Stretches that a training is divided into: as many as a figure's width shows apart."""
_POINTS = 40
"""Places on an axis of environment steps or updates at which runs are interpolated."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line with a band.

    Args:
        x: places, [P].
        y: values, [P].
        low: the band's lower end, [P]; equal to `y` where there is one seed.
        high: its upper end.
    """

    x: Array
    y: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True)
class Training:
    """A method's trainings.

    Args:
        runs: its runs.
        evaluations: during training, of each run that has some.
    """

    runs: tuple[Run, ...]
    evaluations: tuple[tuple[EvaluationRecord, ...], ...]

    def learning_curve(self, tasks: Sequence[str]) -> Curve | None:
        """Return the mean over some tasks and all runs by units, with t intervals; None without evaluations.

        Runs are followed as long as all of them were evaluated.
        """
        if not self.evaluations:
            return None
        shortest = min(map(len, self.evaluations))
        units = np.array([record.unit for record in self.evaluations[0][:shortest]], dtype=np.float64)
        values = np.array([_scores(records[:shortest], tasks).mean(1) for records in self.evaluations])
        found = [estimate(column) for column in values.T.tolist()]
        ends = [each.interval for each in found]
        mean = np.array([each.mean for each in found])
        low = np.array([each.mean if end is None else end.low for each, end in zip(found, ends, strict=True)])
        high = np.array(
            [each.mean if end is None else end.high for each, end in zip(found, ends, strict=True)]
        )
        return Curve(units, mean, low, high)

    def efficiency_curve(self, tasks: Sequence[str]) -> Curve | None:
        """Return the interquartile mean over runs and tasks by environment steps, or updates, with intervals.

        Runs are interpolated between evaluations, and followed as far as all of them came.
        """
        if not self.evaluations:
            return None
        places = [np.array([each.amount for each in run], dtype=np.float64) for run in self.evaluations]
        begin, end = max(each[0] for each in places), min(each[-1] for each in places)
        if end < begin:
            return None
        x = np.linspace(begin, end, _POINTS)
        scores = np.array(
            [
                [np.interp(x, place, column) for column in _scores(records, tasks).T]
                for place, records in zip(places, self.evaluations, strict=True)
            ]
        )
        y = np.array([float(interquartile_mean(scores[:, :, point])) for point in range(_POINTS)])
        ends = [
            bootstrap_interval(scores[:, :, point], interquartile_mean, np.random.default_rng(SEED))
            for point in range(_POINTS)
        ]
        low = np.array([value if each is None else each.low for value, each in zip(y, ends, strict=True)])
        high = np.array([value if each is None else each.high for value, each in zip(y, ends, strict=True)])
        return Curve(x, y, low, high)

    def conflicts(self) -> Array:
        """Return the mean conflict rate in each stretch of training: [BINS], NaN where none was measured."""
        return _binned(
            (_stretch(each, run), each.conflict_rate)
            for run in self.runs
            for each in _moments(run)
            if each.conflict_rate is not None
        )

    def weights(self, tasks: Sequence[str]) -> dict[str, Array]:
        """Return the mean weight in each stretch of training, NaN where there was none: task → [BINS].

        Tasks without any weight are left out.
        """
        seen = [(_stretch(each, run), each.weight) for run in self.runs for each in _moments(run)]
        found = {
            task: _binned(
                (place, value) for place, by_task in seen if (value := by_task.get(task)) is not None
            )
            for task in tasks
        }
        return {task: values for task, values in found.items() if not np.isnan(values).all()}


def read_trainings(comparison: Comparison) -> dict[str, Training]:
    """Return each method's trainings by its label.

    Raises:
        MtctlError: if a file is corrupt.
    """
    return {method.label: _training(method, comparison.tasks) for method in comparison.methods}


def _training(method: Method, tasks: Sequence[str]) -> Training:
    runs = tuple(map(read_run, method.paths))
    courses = (recorded_course(run) for run in runs)
    evaluations = (
        tuple(each for each in course.evaluations if all(task in each.tasks for task in tasks))
        for course in courses
        if course is not None
    )
    return Training(runs, tuple(each for each in evaluations if each))


def _moments(run: Run) -> list[Moment]:
    return [] if recorded_course(run) is None else moments(run)


def _scores(records: Sequence[EvaluationRecord], tasks: Sequence[str]) -> Array:
    """Return means: [evaluations, tasks]."""
    return np.array([[record.tasks[task].mean for task in tasks] for record in records], dtype=np.float64)


def _stretch(moment: Moment, run: Run) -> int:
    """Return which stretch of its training a unit is in. A run that is under way may have gone on since."""
    return min(BINS - 1, (moment.unit - 1) * BINS // max(1, run.budget.done))


def _binned(values: Iterable[tuple[int, float]]) -> Array:
    """Return the mean of the values in each stretch: (stretch, value) pairs → [BINS], NaN without any."""
    pairs = np.array(list(values), dtype=np.float64).reshape(-1, 2)
    stretches = pairs[:, 0].astype(int)
    sums, counts = np.bincount(stretches, pairs[:, 1], BINS), np.bincount(stretches, minlength=BINS)
    means: Array = np.divide(sums, counts, out=np.full(BINS, np.nan), where=counts > 0)
    return means
