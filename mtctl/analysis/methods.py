"""What is said about one method: scores over seeds, aggregates, the difference to the baseline, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mtctl.analysis import bootstrap
from mtctl.analysis.budgets import Spending, spending
from mtctl.analysis.efficiency import Reaching
from mtctl.analysis.evaluation import Outcomes, merge_outcomes
from mtctl.analysis.grouping import Group
from mtctl.analysis.selection import mean_bias
from mtctl.analysis.sharing import Sharing
from mtctl.analysis.significance import MOST_SEEDS, holm, paired_p_value, seeds_needed
from mtctl.analysis.tolerance import Tolerance, tolerance
from mtctl.history.formats import Parameters, RecordedTuning
from mtctl.statistics import LEVEL, Estimate, Interval, estimate, mean_of

AGGREGATES = {
    "mean": bootstrap.mean_score,
    "median": bootstrap.median_score,
    "iqm": bootstrap.interquartile_mean,
}


@dataclass(frozen=True, slots=True)
class TaskScore:
    """A method's scores on one task: the mean over its seeds' means, and what became of all their items."""

    score: Estimate
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A figure over seeds and tasks, and its stratified bootstrap interval; None below three seeds."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A method's average minus the baseline's.

    Args:
        mean: paired by seed where the two share seeds, else the difference of the means.
        interval: the paired 95 % interval, for this method alone; None below two common seeds.
        common_seeds: how many seeds the two share.
        p_value: of the paired t test, for this method alone; None below two common seeds.
        adjusted: the p value adjusted by Holm for all methods that are tested against the baseline.
        seeds_needed: about how many seeds would find a difference as large; None where it was found, where
            nothing can be tested, and where more than `MOST_SEEDS` would be needed.
    """

    mean: float
    interval: Interval | None
    common_seeds: int
    p_value: float | None
    adjusted: float | None = None
    seeds_needed: int | None = None

    @property
    def found(self) -> bool:
        """Say whether the difference is more than chance, all methods taken together."""
        return self.adjusted is not None and self.adjusted <= 1 - LEVEL

    @property
    def seeds_wanted(self) -> int | None:
        """Return `seeds_needed`, but more than there are: a small sample may have been lucky."""
        return None if self.seeds_needed is None else max(self.seeds_needed, self.common_seeds + 1)


@dataclass(frozen=True, slots=True)
class ComparedMethod:
    """A recipe and its runs.

    Args:
        label: its name, with a piece of its hash where several recipes have that name.
        name: the recipe's name.
        recipe_hash: the recipe's hash.
        seeds: the seeds that were run.
        paths: the runs' directories, in the order of the seeds.
        tasks: scores by task.
        average: the mean over tasks of each seed's scores, over seeds.
        matrix: the scores, [seeds][tasks].
        aggregates: mean, median and interquartile mean ("iqm") over seeds and tasks.
        rank: mean over tasks of the method's place by mean score: 1 is best, ties share their mean place.
        relative_change: Δm, the mean over tasks of the change relative to the baseline, in per cent, positive
            for better; None for the baseline, where the baseline's score on a task is not positive, and where
            either has fewer than three seeds.
        improvement: the chance that a run of it scores higher than one of the baseline, over tasks; None for
            the baseline itself, and where either has fewer than three seeds.
        outcomes: what became of the items of all tasks and seeds.
        spending: mean budget per run.
        parameters: trainable numbers.
        reaching: training until the threshold, by task and for the average; empty where nothing is known.
        sharing: conflicts and weights; None where records were not asked for.
        difference: to the baseline; None for the baseline itself.
        verdict: "baseline", "better", "worse", or why there is no telling.
        tolerance: where one more run will score, on average over tasks; None for one seed.
        tuning: how the recipe was tuned; None where it does not say.
        selection_bias: mean over seeds of what the scores that best checkpoints were selected for exceed the
            fresh ones by; None where final policies are compared.
    """

    label: str
    name: str
    recipe_hash: str
    seeds: tuple[int, ...]
    paths: tuple[Path, ...]
    tasks: Mapping[str, TaskScore]
    average: Estimate
    matrix: tuple[tuple[float, ...], ...]
    aggregates: Mapping[str, Aggregate]
    rank: float
    relative_change: float | None
    improvement: Aggregate | None
    outcomes: Outcomes
    spending: Spending
    parameters: Parameters
    reaching: Mapping[str, Reaching]
    sharing: Sharing | None
    difference: Difference | None
    verdict: str
    tolerance: Tolerance | None
    tuning: RecordedTuning | None
    selection_bias: Estimate | None = None

    @property
    def per_thousand_parameters(self) -> float:
        """Return the average score for every 1,000 trainable numbers."""
        return 1000 * self.average.mean / max(1, self.parameters.total)


def build_methods(
    groups: Sequence[Group],
    reference: Group,
    *,
    reaching: Sequence[Mapping[str, Reaching]],
    sharing: Sequence[Sharing | None],
    seed: int,
) -> list[ComparedMethod]:
    """Return what is said about each method.

    Args:
        groups: the methods' runs.
        reference: the baseline among them.
        reaching: of each method.
        sharing: of each method.
        seed: of the generator that resamples. Every interval draws from one of its own, so that it does not
            depend on which methods are compared.
    """
    differences = _differences(groups, reference)
    ranks = mean_ranks([_means(group) for group in groups], higher_is_better=_higher(reference))
    return [
        _method(group, reference, differences.get(group.label), rank, reached, shared, seed)
        for group, rank, reached, shared in zip(groups, ranks, reaching, sharing, strict=True)
    ]


def _method(
    group: Group,
    reference: Group,
    difference: Difference | None,
    rank: float,
    reaching: Mapping[str, Reaching],
    sharing: Sharing | None,
    seed: int,
) -> ComparedMethod:
    first, averages, matrix = group.runs[0].run, group.averages(), _matrix(group)
    drawn = bootstrap.resampled(matrix, seed)
    seeds = min(len(group.runs), len(reference.runs))
    compared = group is not reference and seeds >= bootstrap.FEWEST_SEEDS
    tasks = {task: TaskScore(estimate(group.scores(task)), group.outcomes(task)) for task in group.tasks}
    return ComparedMethod(
        label=group.label,
        name=first.name,
        recipe_hash=first.recipe_hash,
        seeds=tuple(averages),
        paths=tuple(entry.run.path for entry in group.runs),
        tasks=tasks,
        average=estimate(list(averages.values())),
        matrix=tuple(map(tuple, matrix.tolist())),
        aggregates={
            name: Aggregate(
                float(statistic(matrix)),
                None if drawn is None else bootstrap.percentile_interval(statistic(drawn)),
            )
            for name, statistic in AGGREGATES.items()
        },
        rank=rank,
        relative_change=relative_change(_means(group), _means(reference), higher_is_better=_higher(reference))
        if compared
        else None,
        improvement=_improvement(matrix, reference, seed) if compared else None,
        outcomes=merge_outcomes(task.outcomes for task in tasks.values()),
        spending=spending([entry.run for entry in group.runs], [entry.spent for entry in group.runs]),
        parameters=first.parameters,
        reaching=reaching,
        sharing=sharing,
        difference=difference,
        verdict=_verdict(difference, higher_is_better=_higher(reference)),
        tolerance=tolerance(list(averages.values())),
        tuning=group.tuning,
        selection_bias=mean_bias(group.selections) if group.selections else None,
    )


def _higher(group: Group) -> bool:
    return group.runs[0].run.score.higher_is_better


def _matrix(group: Group) -> bootstrap.Array:
    return np.array([group.scores(task) for task in group.tasks], dtype=np.float64).T


def _means(group: Group) -> list[float]:
    return [mean_of(group.scores(task)) for task in group.tasks]


def relative_change(
    method: Sequence[float], baseline: Sequence[float], *, higher_is_better: bool
) -> float | None:
    """Return Δm in per cent: positive is better than the baseline.

    Δm = 100/T · Σₜ s·(Mₜ − Bₜ)/Bₜ, s = 1 where higher is better and −1 elsewhere.

    Args:
        method: Mₜ, mean scores by task.
        baseline: Bₜ, those of the baseline.
        higher_is_better: the score's direction.

    Returns:
        The change; None unless every Bₜ is positive: of others, a ratio says nothing.

    Source: Maninis et al., "Attentive single-tasking of multiple tasks" (CVPR 2019), with their sign turned.
    """
    if min(baseline) <= 0:
        return None
    sign = 1 if higher_is_better else -1
    return 100 * sign * mean_of([(own - base) / base for own, base in zip(method, baseline, strict=True)])


def mean_ranks(means: Sequence[Sequence[float]], *, higher_is_better: bool) -> list[float]:
    """Return each method's mean place over tasks: 1 is best, and equal scores share the mean of their places.

    Args:
        means: [methods][tasks].
        higher_is_better: the score's direction.
    """
    scores = np.array(means) * (1 if higher_is_better else -1)
    above = (scores[None] > scores[:, None]).sum(1)
    equal = (scores[None] == scores[:, None]).sum(1)
    return [float(rank) for rank in (above + (equal + 1) / 2).mean(1)]


def _improvement(matrix: bootstrap.Array, reference: Group, seed: int) -> Aggregate:
    sign = 1 if _higher(reference) else -1
    own, base = sign * matrix, sign * _matrix(reference)
    interval = bootstrap.improvement_interval(own, base, seed)
    return Aggregate(bootstrap.probability_of_improvement(own, base), interval)


def _differences(groups: Sequence[Group], reference: Group) -> dict[str, Difference]:
    """Return the other methods' differences to the baseline by label, adjusted for how many there are."""
    base = reference.averages()
    averages = {group.label: group.averages() for group in groups if group is not reference}
    paired = {
        label: [method[seed] - base[seed] for seed in method if seed in base]
        for label, method in averages.items()
    }
    differences = {label: _alone(averages[label], base, paired[label]) for label in averages}
    p_values = {label: each.p_value for label, each in differences.items() if each.p_value is not None}
    for label, adjusted in zip(p_values, holm(list(p_values.values())), strict=True):
        differences[label] = _adjusted(differences[label], paired[label], adjusted, len(p_values))
    return differences


def _alone(
    method: Mapping[int, float], reference: Mapping[int, float], paired: Sequence[float]
) -> Difference:
    """Return a difference as it is among no others."""
    if not paired:
        return Difference(mean_of(list(method.values())) - mean_of(list(reference.values())), None, 0, None)
    difference = estimate(paired)
    return Difference(difference.mean, difference.interval, difference.n, paired_p_value(paired))


def _adjusted(difference: Difference, paired: Sequence[float], adjusted: float, tests: int) -> Difference:
    """Add what depends on how many methods are tested.

    Seeds are counted for the level that Holm asks of the smallest p value, which is enough for any.
    """
    known = replace(difference, adjusted=adjusted)
    sd = estimate(paired).sd
    if known.found or sd is None:
        return known
    return replace(known, seeds_needed=seeds_needed(difference.mean, sd, 1 - (1 - LEVEL) / tests))


def _verdict(difference: Difference | None, *, higher_is_better: bool) -> str:
    if difference is None:
        return "baseline"
    seeds = difference.common_seeds
    if difference.p_value is None:
        return f"{'one' if seeds else 'no common'} seed: no verdict"
    if difference.found:
        return "better" if (difference.mean > 0) == higher_is_better else "worse"
    wanted = difference.seeds_wanted
    about = f"about {wanted:,}" if wanted is not None else f"more than {MOST_SEEDS:,}"
    return f"not distinguishable with {seeds} seeds, {about} would be needed"
