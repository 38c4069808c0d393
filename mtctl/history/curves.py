"""The trainings of a method's runs as curves: one definition for `compare --plot` and `report`.

Evaluations are shown where they were made, everything else in stretches of equal length (see
`mtctl.history.series.Stretches`): first the mean of each run over its updates in a stretch, then the mean
over runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mtctl.history.history import History
from mtctl.history.records import EvaluationRecord
from mtctl.history.series import Array, Stretches
from mtctl.statistics import estimate

_FEWEST_RUNS = 3
"""That a curve has an interval for: of two it is ±12.7 standard errors, and hides everything else."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A mean over runs with a band.

    Args:
        units: of training, [P].
        amounts: environment steps or updates, means over runs, [P]; None where that is not known.
        mean: over runs, [P].
        low: the lower end of the 95 % t interval over runs, [P]; None below `_FEWEST_RUNS`.
        high: the upper end.
    """

    units: Array
    amounts: Array | None
    mean: Array
    low: Array | None
    high: Array | None


@dataclass(frozen=True)
class Trainings:
    """What a method's runs recorded.

    Args:
        histories: of the runs that have records.
        tasks: whose curves are wanted.
        balanced: whose weights are.
        figure: the figure that tasks are followed by in training.
    """

    histories: tuple[History, ...]
    tasks: tuple[str, ...]
    balanced: tuple[str, ...]
    figure: str

    @cached_property
    def evaluations(self) -> tuple[tuple[EvaluationRecord, ...], ...]:
        """The evaluations of all tasks, of each run that has some."""
        complete = (
            tuple(each for each in history.evaluations if each.tasks.keys() >= set(self.tasks))
            for history in self.histories
        )
        return tuple(each for each in complete if each)

    @cached_property
    def stretches(self) -> Stretches:
        """What training is divided into: the longest run's, whose units are those of all."""
        return Stretches(max((int(each.units[-1]) for each in self.histories if len(each.units)), default=0))

    def evaluated(self, tasks: Sequence[str]) -> Curve | None:
        """Return the mean over some tasks of the evaluations; None without any.

        Runs are followed as long as all of them were evaluated.
        """
        if not self.evaluations:
            return None
        shortest = min(map(len, self.evaluations))
        runs = [run[:shortest] for run in self.evaluations]
        amounts = np.array([[each.amount for each in run] for run in runs], dtype=np.float64)
        units = np.array([each.unit for each in runs[0]], dtype=np.float64)
        return _curve(units, amounts.mean(0), np.array([scores(run, tasks).mean(1) for run in runs]))

    def trained(self, task: str) -> Curve | None:
        """Return the figure that a task is followed by in training; None without any.

        A stretch counts where all runs that know the task have a value.
        """
        known = [series for each in self.histories if len((series := each.figure(self.figure, task)).units)]
        if not known:
            return None
        rows = np.array([self.stretches.means(series) for series in known])
        complete = ~np.isnan(rows).any(0)
        if not complete.any():
            return None
        return _curve(self.stretches.middles[complete], None, rows[:, complete])

    @cached_property
    def weights(self) -> dict[str, Array]:
        """The mean weight in each stretch, [stretches], NaN where there is none, by task that has some."""
        by_task = {
            task: self.stretches.over_runs(
                [self.stretches.means(each.signal("weight", task)) for each in self.histories]
            )
            for task in self.balanced
        }
        return {task: values for task, values in by_task.items() if not np.isnan(values).all()}

    @cached_property
    def conflicts(self) -> Array | None:
        """The mean conflict rate in each stretch, [stretches], NaN where there is none; None without any."""
        rates = self.stretches.over_runs([self.stretches.means(each.conflicts) for each in self.histories])
        return None if np.isnan(rates).all() else rates


def scores(records: Sequence[EvaluationRecord], tasks: Sequence[str]) -> Array:
    """Return the means of evaluations: [evaluations, tasks]."""
    return np.array([[record.tasks[task].mean for task in tasks] for record in records], dtype=np.float64)


def _curve(units: Array, amounts: Array | None, values: Array) -> Curve:
    """Return the curve of values [runs, P]."""
    estimates = [estimate(column) for column in values.T.tolist()]
    mean = np.array([each.mean for each in estimates])
    ends = np.array([(each.interval.low, each.interval.high) for each in estimates if each.interval])
    low, high = ends.T if len(values) >= _FEWEST_RUNS else (None, None)
    return Curve(units, amounts, mean, low, high)
