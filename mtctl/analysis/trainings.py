"""The trainings of a comparison's methods, for figures and reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtctl.analysis.bootstrap import bootstrap_interval, interquartile_mean
from mtctl.analysis.comparison import SEED, Comparison
from mtctl.history.curves import Curve, Trainings, scores
from mtctl.history.history import HistoryReader, recorded_history
from mtctl.history.runs import read_run

_POINTS = 40
"""Places on an axis of environment steps or updates at which runs are interpolated."""


def read_trainings(comparison: Comparison, read: HistoryReader = recorded_history) -> dict[str, Trainings]:
    """Return each method's trainings by its label.

    Args:
        comparison: of the methods.
        read: returns what a run recorded.

    Raises:
        MtctlError: if a file is corrupt.
    """
    by_method = {}
    for method in comparison.methods:
        runs = tuple(map(read_run, method.paths))
        histories = tuple(history for run in runs if (history := read(run)) is not None)
        by_method[method.label] = Trainings(
            histories, comparison.tasks, comparison.balanced, runs[0].figures.followed
        )
    return by_method


def efficiency_curve(trainings: Trainings, tasks: Sequence[str]) -> Curve | None:
    """Return the interquartile mean over runs and tasks by environment steps, or updates, with intervals.

    Runs are interpolated between evaluations, and followed as far as all of them came. None without any.
    """
    runs = trainings.evaluations
    places = [np.array([each.amount for each in run], dtype=np.float64) for run in runs]
    begin, end = max((each[0] for each in places), default=1), min((each[-1] for each in places), default=0)
    if end < begin:
        return None
    x = np.linspace(begin, end, _POINTS)
    values = np.array(
        [
            [np.interp(x, place, column) for column in scores(records, tasks).T]
            for place, records in zip(places, runs, strict=True)
        ]
    )
    columns = [values[:, :, point] for point in range(_POINTS)]
    ends = [bootstrap_interval(each, interquartile_mean, SEED) for each in columns]
    pairs = np.array([(each.low, each.high) for each in ends if each is not None])
    low, high = pairs.T if len(pairs) else (None, None)
    return Curve(x, x, np.array([float(interquartile_mean(each)) for each in columns]), low, high)
