"""How much training a method needs until its score reaches a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtctl.history.records import EvaluationRecord
from mtctl.statistics import mean_of

AVERAGE = "average"
"""The name of the mean over tasks, among tasks."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a run reached the threshold, or how far it came without reaching it.

    Args:
        reached: whether it did; else the run is censored: it may have reached it later.
        units: units of training at the first evaluation at the threshold, or at the last one.
        amount: environment steps by then, or updates where nothing is played.
    """

    reached: bool
    units: int
    amount: int


@dataclass(frozen=True, slots=True)
class Reaching:
    """A method's runs and a threshold.

    Args:
        threshold: the score to reach.
        reached: how many of the runs did.
        runs: how many there are.
        units: the median number of units until then; None if half of the runs, or more, did not get there.
        amount: the median number of environment steps, or of updates where nothing is played.
        longest: the most units that a run was followed without reaching it; None if all reached it.
        largest: the most environment steps, or updates, likewise.
    """

    threshold: float
    reached: int
    runs: int
    units: float | None
    amount: float | None
    longest: int | None
    largest: int | None


def arrival(
    records: Sequence[EvaluationRecord], tasks: Sequence[str], threshold: float, *, higher_is_better: bool
) -> Arrival:
    """Return where a run's evaluations during training first are at the threshold.

    An evaluation of few items is noisy, so that the first one at the threshold is an early one.

    Args:
        records: evaluations of one run in order of time, at least one.
        tasks: whose mean has to reach it.
        threshold: the score.
        higher_is_better: whether to reach means at least, or at most.
    """
    for record in records:
        score = mean_over(record, tasks)
        if score >= threshold if higher_is_better else score <= threshold:
            return Arrival(True, record.unit, record.amount)
    return Arrival(False, records[-1].unit, records[-1].amount)


def mean_over(record: EvaluationRecord, tasks: Sequence[str]) -> float:
    """Return the mean over tasks of an evaluation's means."""
    return mean_of([record.tasks[task].mean for task in tasks])


def reaching(threshold: float, arrivals: Sequence[Arrival]) -> Reaching:
    """Return a method's arrivals in figures. At least one run is needed."""
    missed = [each for each in arrivals if not each.reached]
    return Reaching(
        threshold=threshold,
        reached=len(arrivals) - len(missed),
        runs=len(arrivals),
        units=censored_median([(each.units, each.reached) for each in arrivals]),
        amount=censored_median([(each.amount, each.reached) for each in arrivals]),
        longest=max((each.units for each in missed), default=None),
        largest=max((each.amount for each in missed), default=None),
    )


def censored_median(times: Iterable[tuple[float, bool]]) -> float | None:
    """Return the median time to an event of which some runs were not followed to the end.

    The least t with S(t) ≤ ½, S(t) = Π over events at tᵢ ≤ t of (1 − dᵢ/nᵢ): dᵢ runs arrive at tᵢ out of the
    nᵢ that were still followed then.

    Args:
        times: of each run, and whether it arrived then (or was last seen).

    Returns:
        The median; None where S stays above ½: too few arrived.

    Source: Kaplan and Meier, "Nonparametric estimation from incomplete observations" (1958).
    """
    remaining, survival = list(times), 1.0
    for moment in sorted({time for time, arrived in remaining if arrived}):
        at_risk = sum(time >= moment for time, _ in remaining)
        survival *= 1 - sum(time == moment and arrived for time, arrived in remaining) / at_risk
        # Products of shares such as 2/3 · 3/4 miss a half by rounding.
        if survival <= 0.5 + 1e-12:
            return moment
    return None


def thresholds(
    success: float | None, baseline: Sequence[Sequence[EvaluationRecord]], tasks: Sequence[str]
) -> dict[str, float]:
    """Return the score to reach on the average and on each task.

    Args:
        success: the score's own threshold of success, or one that was asked for.
        baseline: evaluations during training of each of the baseline's runs: without a threshold of success
            it is where the baseline ends, in the mean over its runs.
        tasks: the tasks.

    Returns:
        Thresholds by task, and by `AVERAGE`; empty if there is none and the baseline was never evaluated.
    """
    parts: Mapping[str, Sequence[str]] = {AVERAGE: tasks, **{task: (task,) for task in tasks}}
    if success is not None:
        return dict.fromkeys(parts, success)
    ends = [records[-1] for records in baseline if records]
    return (
        {name: mean_of([mean_over(end, part) for end in ends]) for name, part in parts.items()}
        if ends
        else {}
    )


def followed(
    runs: Iterable[Sequence[EvaluationRecord]], tasks: Sequence[str]
) -> list[Sequence[EvaluationRecord]]:
    """Return the evaluations of all these tasks, of the runs that have some."""
    complete = (
        [record for record in records if all(task in record.tasks for task in tasks)] for records in runs
    )
    return [records for records in complete if records]
