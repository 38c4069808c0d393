"""What a best checkpoint's score owes to its selection, as fresh items tell.

The checkpoint `best` is the one whose evaluation during training scored highest. Of many noisy scores the
highest is also the luckiest, so that it says too much about its policy. Held-out items took no part in the
selection: on them the same policy shows what it is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtctl.engine import layout
from mtctl.history.formats import Evaluation, Run
from mtctl.history.records import EvaluationRecord, TaskMeans
from mtctl.history.summary import recorded_summary
from mtctl.statistics import Estimate, Interval, Noise, estimate, mean_of, welch_interval


@dataclass(frozen=True, slots=True)
class Rescored:
    """A score that a checkpoint was selected with, and its score on fresh items.

    Args:
        recorded: mean of the evaluation during training.
        items: how many it scored, of each task.
        fresh: mean over fresh items, and its interval over them.
        bias: recorded − fresh, in the score's units: positive says too much where higher is better.
        interval: Welch's 95 % interval of the expected bias, with the noise of both; None for one fresh
            item. Without a selection it holds 0 in 95 % of the cases; with one it is somewhat too wide, since
            the highest of several means varies less than one of them.
    """

    recorded: float
    items: int
    fresh: Estimate
    bias: float
    interval: Interval | None

    @property
    def half_width(self) -> float | None:
        """Return half the interval's width: the number after ±."""
        return None if self.interval is None else (self.interval.high - self.interval.low) / 2


@dataclass(frozen=True, slots=True)
class AgainstLast:
    """A best checkpoint against the final policy, on the same items.

    Args:
        done: units of training behind the final policy.
        mean: its mean over tasks and common items.
        difference: best − last, paired by item: of each item, the mean over tasks.
    """

    done: int
    mean: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Selection:
    """A best checkpoint: what it was selected for, and what is left of it on fresh items.

    Args:
        place: unit of training at which it was selected.
        evaluations: how many it was selected among.
        ties: how many later ones scored the same; the first is kept.
        tasks: by task.
        average: over tasks, which the selection goes by.
        last: against the final policy; None where that was not evaluated on the same items.
    """

    place: int
    evaluations: int
    ties: int
    tasks: Mapping[str, Rescored]
    average: Rescored
    last: AgainstLast | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """That the records do not tell what a checkpoint was selected for.

    Args:
        reason: why not, as the end of a sentence that starts with the run's path.
    """

    reason: str


def selected(run: Run, evaluations: Sequence[EvaluationRecord]) -> EvaluationRecord | None:
    """Return the evaluation whose policy `best` is: the first of those with the best average.

    None without an evaluation: there is no best checkpoint then.
    """
    if not evaluations:
        return None
    averages = [record.average for record in evaluations]
    return evaluations[averages.index(max(averages) if run.score.higher_is_better else min(averages))]


def read_selection(run: Run, best: Evaluation, last: Evaluation | None = None) -> Selection | Unknown:
    """Compare a best checkpoint's scores on fresh items with those that it was selected for.

    Args:
        run: the run.
        best: its best checkpoint's evaluation, of all tasks.
        last: its final policy's, if there is one.

    Raises:
        MtctlError: if the records are corrupt.
    """
    training = recorded_summary(run)
    if training is None:
        return Unknown(
            f"has no {layout.METRICS}, which records the score that its best checkpoint was selected for"
        )
    return judge_selection(run, training.evaluations, best, last)


def judge_selection(
    run: Run, evaluations: Sequence[EvaluationRecord], best: Evaluation, last: Evaluation | None = None
) -> Selection | Unknown:
    """Do the same with evaluations that have been read already."""
    recorded = next((record for record in evaluations if record.unit == best.done), None)
    if recorded is None or not recorded.tasks.keys() >= best.tasks.keys():
        return Unknown(f"has no record of an evaluation at {run.unit} {best.done} (see `evaluation.every`)")
    fresh = {task: estimate(scored.scores) for task, scored in best.tasks.items()}
    noises = {task: _noise(recorded.tasks[task], fresh[task]) for task in fresh}
    return Selection(
        place=best.done,
        evaluations=len(evaluations),
        ties=sum(record.average == recorded.average for record in evaluations) - 1,
        tasks={
            task: _rescored(
                recorded.tasks[task].mean, recorded.tasks[task].items, fresh[task], [noises[task]]
            )
            for task in fresh
        },
        average=_average(
            run, [recorded.tasks[task] for task in fresh], list(noises.values()), _by_item(best)
        ),
        last=_against_last(run, best, last) if last is not None else None,
    )


def _rescored(recorded: float, items: int, fresh: Estimate, noises: Sequence[Noise]) -> Rescored:
    bias = recorded - fresh.mean
    if fresh.sd is None:
        return Rescored(recorded, items, fresh, bias, None)
    own = Noise(fresh.sd**2 / fresh.n, fresh.n - 1)
    return Rescored(recorded, items, fresh, bias, welch_interval(bias, [own, *noises]))


def _noise(recorded: TaskMeans, fresh: Estimate) -> Noise:
    """Return the noise of a recorded mean; of one item no deviation is known, and fresh items' stands in."""
    if recorded.sd is None or recorded.items == 1:
        return Noise((fresh.sd or 0.0) ** 2, max(1, fresh.n - 1))
    return Noise(recorded.sd**2 / recorded.items, recorded.items - 1)


def _average(
    run: Run, recorded_tasks: Sequence[TaskMeans], noises: Sequence[Noise], items: np.ndarray
) -> Rescored:
    """Return what holds of the mean over tasks.

    Episodes of different tasks have different seeds, so that their noises are independent. A window is scored
    on every task: its scores go together in the records as they do on fresh windows.
    """
    tasks = len(recorded_tasks)
    if run.is_played:
        parts = [Noise(noise.variance / tasks**2, noise.dof) for noise in noises]
    else:
        deviations = np.sqrt([noise.variance for noise in noises])
        variance = float(deviations @ _correlations(items) @ deviations) / tasks**2
        parts = [Noise(max(0.0, variance), min(noise.dof for noise in noises))]
    recorded = mean_of([each.mean for each in recorded_tasks])
    return _rescored(
        recorded, min(each.items for each in recorded_tasks), estimate(items.mean(1).tolist()), parts
    )


def _by_item(evaluation: Evaluation, tasks: Iterable[str] | None = None) -> np.ndarray:
    """Return scores, [items][tasks]; one row of means where some items have no score of a task."""
    scores = [evaluation.tasks[task].scores for task in tasks or evaluation.tasks]
    if len({len(each) for each in scores}) > 1:
        return np.array([[mean_of(list(each)) for each in scores]])
    return np.array(scores, dtype=np.float64).T


def _correlations(items: np.ndarray) -> np.ndarray:
    """Return the correlations between tasks over items, [tasks][tasks]; 0 where a task has one score only."""
    tasks = items.shape[1]
    if len(items) == 1:
        return np.eye(tasks)
    covariance = np.cov(items, rowvar=False).reshape(tasks, tasks)
    deviations = np.sqrt(np.diag(covariance))
    scale = np.outer(deviations, deviations)
    correlations = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(correlations, 1.0)
    return correlations


def _against_last(run: Run, best: Evaluation, last: Evaluation) -> AgainstLast | None:
    same = (best.seeds, best.definition_hash) == (last.seeds, last.definition_hash)
    if not same or last.done != run.budget.done or not last.tasks.keys() >= best.tasks.keys():
        return None
    items = min(best.items, last.items)
    finals = _by_item(last, best.tasks)[:items]
    differences = (_by_item(best)[:items] - finals).mean(1)
    return AgainstLast(last.done, float(finals.mean()), estimate(differences.tolist()))


def mean_bias(selections: Sequence[Selection]) -> Estimate:
    """Return the mean over seeds of the average's bias, with its t interval over seeds.

    Args:
        selections: one per seed, at least one.
    """
    return estimate([each.average.bias for each in selections])


def selection_notes(
    selections: Mapping[str, Sequence[Selection]], item: str, items: int, *, higher_is_better: bool
) -> Iterator[str]:
    """Say how the policies that a comparison is of were selected, and what that did to their scores.

    Args:
        selections: selections of each method's seeds, by its label.
        item: the name of what is scored one by one.
        items: how many fresh ones are compared, of each task.
        higher_is_better: the score's direction.
    """
    everything = [each for several in selections.values() for each in several]
    counts = sorted({each.average.items for each in everything})
    monitored = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    yield (
        f"scores are of best checkpoints: selected by evaluations during training ({monitored} {item}s of "
        f"each task), then scored again on {items:,} held-out ones, which had no part in the selection"
    )
    sign = 1 if higher_is_better else -1
    parts = [f"{_amount(mean_bias(several), sign)} ({label})" for label, several in selections.items()]
    yield f"selection bias (score at selection minus score on fresh {item}s): {', '.join(parts)}"
    if single := [label for label, several in selections.items() if len(several) == 1]:
        yield f"no interval of the selection bias over seeds, with one seed each: {', '.join(single)}"


def _amount(bias: Estimate, sign: int) -> str:
    half = "" if bias.half_width is None else f" ± {bias.half_width:,.1f}"
    return f"{sign * bias.mean:,.1f}{half}"
