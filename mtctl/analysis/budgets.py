"""What a method was given and what it cost, and whether a comparison's budgets are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtctl.history.formats import Run
from mtctl.statistics import mean_of

TOLERANCE = 1.1
"""Largest ratio of environment steps or updates that passes for equal: how long an episode lasts is up to the
policy, so that even the seeds of one recipe differ by some per cent."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run had spent when it was scored.

    Args:
        units: units of training (episodes, epochs).
        environment_steps: steps of the environments, all tasks together; None where nothing is played.
        updates: gradient updates.
        seconds: wall-clock, evaluations included.
    """

    units: int
    environment_steps: float | None
    updates: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Spending:
    """A method's budget per run: means over its runs.

    Args:
        units: units of training (episodes, epochs).
        environment_steps: steps of the environments, all tasks together; None where nothing is played.
        updates: gradient updates.
        samples_per_update: rows in one update.
        seconds: wall-clock.
        pace: environment steps, or updates where nothing is played, per second of training; None if no second
            of it was measured.
        memory_mb: the largest memory of any run; None if none says.
    """

    units: float
    environment_steps: float | None
    updates: float
    samples_per_update: float
    seconds: float
    pace: float | None
    memory_mb: float | None


def spent_in_all(run: Run) -> Spent:
    """Return what a run has spent until it stopped."""
    budget = run.budget
    return Spent(budget.done, budget.environment_steps, budget.updates, run.seconds.total)


def spending(runs: Sequence[Run], spent: Sequence[Spent]) -> Spending:
    """Return the mean budget of a method's runs, which had spent `spent` when they were scored."""
    steps = [each.environment_steps for each in spent]
    paces = [_amount(run) / run.seconds.training for run in runs if run.seconds.training > 0]
    return Spending(
        units=mean_of([each.units for each in spent]),
        environment_steps=mean_of([each for each in steps if each is not None])
        if None not in steps
        else None,
        updates=mean_of([each.updates for each in spent]),
        samples_per_update=mean_of([run.budget.samples_per_update for run in runs]),
        seconds=mean_of([each.seconds for each in spent]),
        pace=mean_of(paces) if paces else None,
        memory_mb=max((run.peak_memory_mb for run in runs if run.peak_memory_mb is not None), default=None),
    )


def _amount(run: Run) -> int:
    """Return what a run's pace counts."""
    steps = run.budget.environment_steps
    return run.budget.updates if steps is None else steps


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
