"""What a method was given and what it cost, and whether a comparison's budgets are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtctl.analysis.formats import Run
from mtctl.analysis.statistics import mean_of

TOLERANCE = 1.1
"""Largest ratio of environment steps or updates that passes for equal: how long an episode lasts is up to the
policy, so that even the seeds of one recipe differ by some per cent."""


@dataclass(frozen=True, slots=True)
class Spending:
    """A method's budget per run: means over its runs.

    Args:
        units: units of training (episodes, epochs).
        environment_steps: steps of the environments, all tasks together; None where nothing is played.
        updates: gradient updates.
        samples_per_update: rows in one update.
        seconds: wall-clock.
    """

    units: float
    environment_steps: float | None
    updates: float
    samples_per_update: float
    seconds: float


def spending(runs: Sequence[Run]) -> Spending:
    """Return the mean budget of a method's runs."""
    steps = [run.budget.environment_steps for run in runs]
    return Spending(
        units=mean_of([run.budget.done for run in runs]),
        environment_steps=mean_of([each for each in steps if each is not None])
        if None not in steps
        else None,
        updates=mean_of([run.budget.updates for run in runs]),
        samples_per_update=mean_of([run.budget.samples_per_update for run in runs]),
        seconds=mean_of([run.seconds.total for run in runs]),
    )


def budget_warnings(methods: Mapping[str, Spending], unit: str) -> list[str]:
    """Return a sentence for every column of the budgets that differs between methods by more than it may.

    Args:
        methods: each method's budget by its label.
        unit: the name of a unit of training.
    """
    columns = {
        f"{unit}s": ("units", 1.0),
        "environment steps": ("environment_steps", TOLERANCE),
        "updates": ("updates", TOLERANCE),
        "samples per update": ("samples_per_update", 1.0),
    }
    warnings = []
    for title, (column, tolerance) in columns.items():
        values: dict[str, float] = {
            label: value for label, spent in methods.items() if (value := getattr(spent, column)) is not None
        }
        if not values:
            continue
        least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        low, high = values[least], values[most]
        if high > tolerance * low:
            span = f"{title} go from {low:,.0f} ({least}) to {high:,.0f} ({most})"
            times = f", {high / low:.1f} times as many" if 0 < TOLERANCE * low < high else ""
            warnings.append(f"unequal budgets: {span}{times}")
    return warnings
