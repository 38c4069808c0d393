"""What the charts of a report draw: lines of few points each, however long the trainings were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.profiles import Profile, profiles
from mtctl.analysis.trainings import read_trainings
from mtctl.history.curves import Curve, Trainings
from mtctl.history.history import HistoryReader, recorded_history
from mtctl.history.series import MOST_STRETCHES

_THRESHOLDS = 101
"""Normalised scores at which a performance profile is drawn: one for each per cent of their range."""
_DIGITS = 6
"""Significant digits of what is drawn: far below the width of a line."""


def charts(comparison: Comparison, read: HistoryReader = recorded_history) -> dict[str, Any]:
    """Return what is drawn, as JSON values.

    Methods are in the comparison's order. A curve's parts are the average, where it has one, then the tasks;
    a place without a value is null. There is no band where there is one seed.

    Args:
        comparison: what is compared.
        read: returns what a run recorded.

    Raises:
        MtctlError: if a run's records are corrupt.
    """
    trainings = read_trainings(comparison, read)
    figure = next(iter(trainings.values())).figure
    scored = figure == comparison.score.name
    thresholds, tasks = np.linspace(0, 1, _THRESHOLDS), comparison.tasks
    found = profiles(comparison, thresholds)
    return {
        "schema": 1,
        "most_stretches": MOST_STRETCHES,
        "counted": "environment steps" if comparison.played else "updates",
        "losses": not scored,
        "trained_on": f"{figure} of training {comparison.unit}s" if scored else f"training {figure}",
        "thresholds": _short(thresholds),
        "methods": [
            {
                "label": method.label,
                "baseline": method.label == comparison.baseline,
                "evaluations": _curve([each.evaluated(part) for part in (tasks, *zip(tasks))], each),
                "training": _curve([None, *map(each.trained, tasks)], each),
                "weights": {task: _short(values) for task, values in each.weights.items()},
                "conflicts": _short(each.conflicts) if each.conflicts is not None else None,
                "profile": _profile(found[method.label]),
            }
            for method, each in zip(comparison.methods, trainings.values(), strict=True)
        ],
    }


def _curve(lines: Sequence[Curve | None], trainings: Trainings) -> dict[str, Any] | None:
    """Return lines of the average and each task on common axes; None if there is none."""
    known = next((line for line in lines if line is not None), None)
    if known is None:
        return None
    return {
        "unit": _short(known.units),
        "amount": None if known.amounts is None else _short(known.amounts),
        "runs": len(trainings.histories),
        "parts": [
            None
            if line is None
            else {
                "mean": _short(line.mean),
                "low": None if line.low is None else _short(line.low),
                "high": None if line.high is None else _short(line.high),
            }
            for line in lines
        ],
    }


def _profile(profile: Profile) -> dict[str, Any]:
    low, high = (None, None) if profile.ends is None else map(_short, profile.ends)
    return {"mean": _short(profile.shares), "low": low, "high": high}


def _short(values: Any) -> list[float | None]:
    """Return numbers without digits that nobody sees; null for those that are not there."""
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in values]
