"""What one run's held-out episodes say: a row per task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mtctl.analysis.formats import Evaluation, Score, TaskScores
from mtctl.analysis.statistics import Estimate, Interval, estimate, mean_of, wilson_interval


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How episodes ended.

    Args:
        episodes: how many there were, at least 1.
        successes: how many reached the score's threshold of success; None if it has none.
        landed: episodes that ended at rest on the ground.
        crashed: episodes that ended in a crash, or off the field.
        timed_out: episodes that reached the task's time limit.
    """

    episodes: int
    successes: int | None
    landed: int
    crashed: int
    timed_out: int

    @property
    def success_rate(self) -> float | None:
        """Return the share of successes, in [0, 1]."""
        return None if self.successes is None else self.successes / self.episodes


def count_outcomes(tasks: Iterable[TaskScores], score: Score) -> Outcomes:
    """Count how the episodes of one or several tasks ended."""
    episodes = list(tasks)
    returns = [value for task in episodes for value in task.returns]
    ends = [end for task in episodes for end in task.outcomes]
    successes = None if score.success is None else sum(map(score.succeeds, returns))
    return Outcomes(len(returns), successes, *(ends.count(end) for end in ("landed", "crashed", "timed_out")))


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task's row.

    Args:
        task: its name.
        returns: mean, standard deviation and 95 % interval over episodes.
        outcomes: how the episodes ended.
        success: Wilson's 95 % interval of the success rate; None if the score has no threshold of success.
        steps: mean environment steps per episode.
    """

    task: str
    returns: Estimate
    outcomes: Outcomes
    success: Interval | None
    steps: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's evaluation.

    Args:
        tasks: a row for each task, in the run's order.
        average: mean over the tasks of their mean returns.
        outcomes: how all tasks' episodes ended.
        steps: mean environment steps per episode, over all tasks.
    """

    tasks: tuple[TaskSummary, ...]
    average: float
    outcomes: Outcomes
    steps: float


def summarise(evaluation: Evaluation, score: Score) -> Summary:
    """Return the rows of a run's evaluation.

    Intervals are over episodes: they say how well these weights are known, nothing about another seed's.
    """
    rows = tuple(_summarise_task(name, task, score) for name, task in evaluation.tasks.items())
    return Summary(
        tasks=rows,
        average=mean_of([row.returns.mean for row in rows]),
        outcomes=count_outcomes(evaluation.tasks.values(), score),
        steps=mean_of([row.steps for row in rows]),
    )


def _summarise_task(name: str, task: TaskScores, score: Score) -> TaskSummary:
    outcomes = count_outcomes([task], score)
    success = None if outcomes.successes is None else wilson_interval(outcomes.successes, outcomes.episodes)
    return TaskSummary(name, estimate(task.returns), outcomes, success, mean_of(task.steps))
