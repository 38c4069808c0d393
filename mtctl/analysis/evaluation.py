"""What one run's held-out evaluation says: a row per task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mtctl.history.formats import Evaluation, RecordedScore, TaskScores
from mtctl.history.records import TaskMeans
from mtctl.statistics import Estimate, Interval, estimate, mean_of, wilson_interval


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of items: episodes or windows.

    Args:
        items: how many there were, at least 1.
        successes: how many reached the score's threshold of success; None if it has none.
        ends: how many ended in each way; empty where nothing is played.
    """

    items: int
    successes: int | None
    ends: Mapping[str, int] = field(default_factory=dict)

    @property
    def success_rate(self) -> float | None:
        """Return the share of successes, in [0, 1]."""
        return None if self.successes is None else self.successes / self.items

    def share(self, end: str) -> float:
        """Return the share of items that ended in one way, in [0, 1]."""
        return self.ends.get(end, 0) / self.items


def count_outcomes(tasks: Iterable[TaskScores], score: RecordedScore) -> Outcomes:
    """Count what became of the items of one or several tasks."""
    evaluated = list(tasks)
    successes = None
    if score.success is not None:
        successes = sum(score.count_successes(task.scores) for task in evaluated)
    ends = Counter(dict.fromkeys(score.outcomes, 0))
    for task in evaluated:
        ends.update(task.outcomes or ())
    return Outcomes(sum(len(task.scores) for task in evaluated), successes, dict(ends))


def outcomes_of_means(task: TaskMeans, score: RecordedScore) -> Outcomes:
    """Count what became of a task's items, of which an evaluation during training kept the counts."""
    rate = task.success_rate
    ends = {**dict.fromkeys(score.outcomes, 0), **(task.outcomes or {})}
    return Outcomes(task.items, None if rate is None else round(rate * task.items), ends)


def merge_outcomes(counted: Iterable[Outcomes]) -> Outcomes:
    """Return what became of all items together."""
    parts = list(counted)
    successes = [part.successes for part in parts if part.successes is not None]
    ends = {end: sum(part.ends.get(end, 0) for part in parts) for end in ends_of(parts)}
    everywhere = len(successes) == len(parts)
    return Outcomes(sum(part.items for part in parts), sum(successes) if everywhere else None, ends)


def ends_of(counted: Iterable[Outcomes]) -> tuple[str, ...]:
    """Return every way in which an item ended, in the score's order."""
    return tuple(dict.fromkeys(end for outcomes in counted for end in outcomes.ends))


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task's row.

    Args:
        task: its name.
        scores: mean, standard deviation and 95 % interval over items.
        outcomes: what became of them.
        success: Wilson's 95 % interval of the success rate; None if the score has no threshold of success.
        steps: mean environment steps per episode; None where nothing is played.
        measures: figures over all items together, in the task's own units.
    """

    task: str
    scores: Estimate
    outcomes: Outcomes
    success: Interval | None
    steps: float | None
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's evaluation.

    Args:
        tasks: a row for each task, in the run's order.
        average: mean over the tasks of their mean scores.
        outcomes: what became of all tasks' items.
        steps: mean environment steps per episode, over all tasks; None where nothing is played.
    """

    tasks: tuple[TaskSummary, ...]
    average: float
    outcomes: Outcomes
    steps: float | None

    @property
    def measures(self) -> tuple[str, ...]:
        """Return the names of all tasks' measures."""
        return tuple(dict.fromkeys(name for row in self.tasks for name in row.measures))


def summarise(evaluation: Evaluation, score: RecordedScore) -> Summary:
    """Return the rows of a run's evaluation.

    Intervals are over items: they say how well these weights are known, nothing about another seed's.
    """
    rows = tuple(_summarise_task(name, task, score) for name, task in evaluation.tasks.items())
    return Summary(
        tasks=rows,
        average=mean_of([row.scores.mean for row in rows]),
        outcomes=count_outcomes(evaluation.tasks.values(), score),
        steps=_mean([row.steps for row in rows if row.steps is not None]),
    )


def _summarise_task(name: str, task: TaskScores, score: RecordedScore) -> TaskSummary:
    outcomes = count_outcomes([task], score)
    success = None if outcomes.successes is None else wilson_interval(outcomes.successes, outcomes.items)
    return TaskSummary(name, estimate(task.scores), outcomes, success, _mean(task.steps or ()), task.measures)


def _mean(values: Sequence[float]) -> float | None:
    return mean_of(values) if values else None
