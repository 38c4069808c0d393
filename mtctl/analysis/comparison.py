"""Methods side by side: scores over seeds, differences to a baseline, budgets, and what to make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtctl.analysis.budgets import Spending, budget_warnings, spending
from mtctl.analysis.evaluation import Outcomes
from mtctl.analysis.formats import Parameters, Score
from mtctl.analysis.grouping import Group, find_baseline, group_runs
from mtctl.analysis.mismatch import Mismatch, MismatchError, find_mismatches
from mtctl.analysis.notes import notes
from mtctl.analysis.scores import LeftOut, ScoredRun, score_runs
from mtctl.analysis.statistics import Estimate, Interval, estimate, mean_of
from mtctl.errors import MtctlError


@dataclass(frozen=True, slots=True)
class TaskScore:
    """A method's scores on one task: the mean over its seeds' means, and what became of all their items."""

    score: Estimate
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class Difference:
    """A method's average minus the baseline's.

    Args:
        mean: paired by seed where the two share seeds, else the difference of the means.
        interval: the paired 95 % interval; None below two common seeds.
        common_seeds: how many seeds the two share.
    """

    mean: float
    interval: Interval | None
    common_seeds: int


@dataclass(frozen=True, slots=True)
class Method:
    """A recipe and its runs.

    Args:
        label: its name, with a piece of its hash where several recipes have that name.
        name: the recipe's name.
        recipe_hash: the recipe's hash.
        seeds: the seeds that were run.
        paths: the runs' directories, in the order of the seeds.
        tasks: scores by task.
        average: the mean over tasks of each seed's scores, over seeds.
        outcomes: what became of the items of all tasks and seeds.
        spending: mean budget per run.
        parameters: trainable numbers.
        difference: to the baseline; None for the baseline itself.
        verdict: "baseline", "better", "worse", or why there is no telling.
    """

    label: str
    name: str
    recipe_hash: str
    seeds: tuple[int, ...]
    paths: tuple[Path, ...]
    tasks: Mapping[str, TaskScore]
    average: Estimate
    outcomes: Outcomes
    spending: Spending
    parameters: Parameters
    difference: Difference | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Methods side by side.

    Args:
        score: what is compared.
        unit: the name of a unit of training.
        tasks: the tasks that are compared.
        item: the name of what was scored one by one, such as "episode".
        items: how many of them are compared, held-out ones of each task.
        baseline: the baseline's label.
        methods: the methods, best average first.
        left_out: runs that could not be used.
        mismatches: what makes the comparison undefined, where that was allowed.
        warnings: what makes the comparison unfair.
        notes: what else a reader should know.
    """

    score: Score
    unit: str
    tasks: tuple[str, ...]
    item: str
    items: int
    baseline: str
    methods: tuple[Method, ...]
    left_out: tuple[LeftOut, ...]
    mismatches: tuple[Mismatch, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def compare(
    paths: Iterable[Path], baseline: str | None = None, *, allow_mismatch: bool = False
) -> Comparison:
    """Compare the runs under `paths`.

    Runs are grouped into methods by recipe (name and hash). A method's score on a task is the mean over
    its seeds of each seed's mean over the held-out items; intervals are t intervals over seeds.

    Args:
        paths: run directories, recipe folders or results roots.
        baseline: name or label of the method that others are compared with; one of
            `grouping.DEFAULT_BASELINES` if it is there, else the first one found.
        allow_mismatch: compare the common tasks of runs that measure different things.

    Raises:
        MismatchError: if the runs measure different things and that was not allowed.
        MtctlError: if no run can be used, the baseline is unknown, or a file is corrupt.
    """
    scored, left_out = score_runs(paths)
    if not scored:
        raise _nothing_to_compare(left_out)
    mismatches = find_mismatches(scored)
    if mismatches and not allow_mismatch:
        raise MismatchError(mismatches)
    tasks = _common_tasks(scored)
    items = min(entry.evaluation.items for entry in scored)
    groups = group_runs(scored, tasks, items)
    reference = find_baseline(groups, baseline, left_out)
    methods = [_method(group, reference) for group in groups]
    first = scored[0].run
    methods.sort(key=lambda method: method.average.mean, reverse=first.score.higher_is_better)
    return Comparison(
        score=first.score,
        unit=first.unit,
        tasks=tasks,
        item=first.item,
        items=items,
        baseline=reference.label,
        methods=tuple(methods),
        left_out=tuple(left_out),
        mismatches=mismatches,
        warnings=tuple(budget_warnings({method.label: method.spending for method in methods}, first.unit)),
        notes=tuple(notes(scored, groups, reference)),
    )


def _nothing_to_compare(left_out: Sequence[LeftOut]) -> MtctlError:
    lines = [f"  {entry.run.path} {entry.reason}" for entry in left_out]
    remedies = [entry.remedy for entry in left_out if entry.remedy]
    return MtctlError("\n".join(["no run can be compared:", *lines]), hint="\n".join(remedies))


def _common_tasks(scored: Sequence[ScoredRun]) -> tuple[str, ...]:
    first = scored[0].run
    if any(entry.run.score.higher_is_better != first.score.higher_is_better for entry in scored):
        raise MtctlError(
            "these scores have no common order: higher is better for some runs, and lower for others",
            hint="compare them apart",
        )
    tasks = tuple(task for task in first.tasks if all(task in entry.run.tasks for entry in scored))
    if not tasks:
        raise MtctlError("these runs have no task in common", hint="compare runs of the same tasks")
    return tasks


def _method(group: Group, reference: Group) -> Method:
    first, averages = group.runs[0].run, group.averages()
    difference = None if group is reference else _difference(averages, reference.averages())
    return Method(
        label=group.label,
        name=first.name,
        recipe_hash=first.recipe_hash,
        seeds=tuple(averages),
        paths=tuple(entry.run.path for entry in group.runs),
        tasks={task: TaskScore(estimate(group.scores(task)), group.outcomes([task])) for task in group.tasks},
        average=estimate(list(averages.values())),
        outcomes=group.outcomes(group.tasks),
        spending=spending([entry.run for entry in group.runs]),
        parameters=first.parameters,
        difference=difference,
        verdict=_verdict(difference, higher_is_better=first.score.higher_is_better),
    )


def _difference(method: Mapping[int, float], reference: Mapping[int, float]) -> Difference:
    paired = [method[seed] - reference[seed] for seed in method if seed in reference]
    if not paired:
        return Difference(mean_of(list(method.values())) - mean_of(list(reference.values())), None, 0)
    found = estimate(paired)
    return Difference(found.mean, found.interval, found.n)


def _verdict(difference: Difference | None, *, higher_is_better: bool) -> str:
    if difference is None:
        return "baseline"
    if difference.interval is None:
        return f"{'one' if difference.common_seeds else 'no common'} seed: no verdict"
    low, high = difference.interval.low, difference.interval.high
    if low <= 0 <= high:
        return f"not distinguishable with {difference.common_seeds} seeds"
    return "better" if (low > 0) == higher_is_better else "worse"
