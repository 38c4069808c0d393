"""Methods side by side: scores over seeds, differences to a baseline, budgets, and what to make of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtctl.analysis.budgets import budget_warnings
from mtctl.analysis.efficiency import Arrival, Reaching, arrival, followed, reaching, thresholds
from mtctl.analysis.grouping import Group, find_baseline, group_runs
from mtctl.analysis.matching import Budget, Matched, match_notes, match_runs
from mtctl.analysis.methods import ComparedMethod, build_methods
from mtctl.analysis.mismatch import Mismatch, MismatchError, common_names, find_mismatches
from mtctl.analysis.notes import notes
from mtctl.analysis.scores import LeftOut, ScoredRun, score_runs
from mtctl.analysis.selection import selection_notes
from mtctl.analysis.sharing import sharing
from mtctl.analysis.tuning import tuning_notes
from mtctl.engine import layout
from mtctl.errors import MtctlError
from mtctl.history.formats import RecordedScore
from mtctl.history.records import EvaluationRecord
from mtctl.history.summary import SummaryReader, TrainingSummary, recorded_summary

SEED = 0
"""Of the generator that resamples: the same runs always have the same intervals."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Methods side by side.

    Args:
        problem: what was trained on.
        score: what is compared.
        unit: the name of a unit of training.
        played: whether environment steps are counted; else updates are.
        tasks: what is compared: the tasks, or what they achieve together.
        balanced: the tasks that all methods have balanced.
        item: the name of what was scored one by one, such as "episode".
        items: how many of them are compared, of each task.
        matched: the budget at which runs are compared; None if each is compared where it ended.
        baseline: the baseline's label.
        methods: the methods, best average first.
        left_out: runs that could not be used.
        mismatches: what makes the comparison undefined, where that was allowed.
        warnings: what makes the comparison unfair.
        notes: what else a reader should know.
        checkpoint: whose scores are compared: `last`, the final policies', or `best`.
    """

    problem: str
    score: RecordedScore
    unit: str
    played: bool
    tasks: tuple[str, ...]
    balanced: tuple[str, ...]
    item: str
    items: int
    matched: Matched | None
    baseline: str
    methods: tuple[ComparedMethod, ...]
    left_out: tuple[LeftOut, ...]
    mismatches: tuple[Mismatch, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    checkpoint: str = layout.LAST


def compare(
    paths: Iterable[Path],
    baseline: str | None = None,
    *,
    allow_mismatch: bool = False,
    include_partial: bool = False,
    match: Budget | None = None,
    threshold: float | None = None,
    seed: int = SEED,
    checkpoint: str = layout.LAST,
    read: SummaryReader = recorded_summary,
) -> Comparison:
    """Compare the runs under `paths`.

    Runs are grouped into methods by recipe (name and hash). A method's score on a task is the mean over
    its seeds of each seed's mean over the held-out items; the intervals around it are t intervals over seeds.

    Args:
        paths: run directories, recipe folders or results roots.
        baseline: name or label of the method that others are compared with; one of
            `grouping.DEFAULT_BASELINES` if it is there, else the first one found.
        allow_mismatch: compare the common tasks of runs that measure different things.
        include_partial: use runs that are not completed too.
        match: compare at the largest budget that all runs reached, by their evaluations during training.
        threshold: the score whose reaching is timed; the score's own threshold of success if left out, and
            without one where the baseline ends.
        seed: of the generator that resamples.
        checkpoint: compare final policies, `last`, or `best` checkpoints as scored again on held-out items.
        read: returns what a run recorded while it trained.

    Raises:
        MismatchError: if the runs measure different things and that was not allowed.
        MtctlError: if no run can be used, the baseline is unknown, or a file is corrupt.
        ValueError: if runs are to be matched, and a checkpoint other than the last is asked for.
    """
    scored, left_out, matched = _score(paths, match, checkpoint, read, include_partial=include_partial)
    mismatches = find_mismatches(scored)
    if mismatches and not allow_mismatch:
        raise MismatchError(mismatches)
    tasks, balanced = _common_tasks(scored), common_names([entry.run.tasks for entry in scored])
    items = min(entry.items for entry in scored)
    groups = group_runs(scored, tasks, items)
    reference = find_baseline(groups, baseline, left_out)
    known = [[entry.training or read(entry.run) for entry in group.runs] for group in groups]
    trainings = [[training for training in each if training is not None] for each in known]
    methods = build_methods(
        groups,
        reference,
        reaching=_reaching(trainings, groups.index(reference), reference, threshold),
        sharing=[sharing(each, balanced) for each in trainings],
        seed=seed,
    )
    unknown = sum(training is None for each in known for training in each)
    first = scored[0].run
    methods.sort(key=lambda method: method.average.mean, reverse=first.score.higher_is_better)
    return Comparison(
        problem=first.problem,
        score=first.score,
        unit=first.unit,
        played=first.is_played,
        tasks=tasks,
        balanced=balanced,
        item=first.item,
        items=items,
        matched=matched,
        baseline=reference.label,
        methods=tuple(methods),
        left_out=tuple(left_out),
        mismatches=mismatches,
        warnings=tuple(budget_warnings({method.label: method.spending for method in methods}, first.unit)),
        notes=(
            *(match_notes(matched, scored) if matched else ()),
            *_selection_notes(groups, items),
            *notes(scored, groups, reference, unknown),
            *tuning_notes({group.label: group.tuning for group in groups}, reference.label),
        ),
        checkpoint=checkpoint,
    )


def _score(
    paths: Iterable[Path],
    match: Budget | None,
    checkpoint: str,
    read: SummaryReader,
    *,
    include_partial: bool,
) -> tuple[list[ScoredRun], list[LeftOut], Matched | None]:
    """Return the runs that can be compared, at least one, those that cannot, and the common budget."""
    if match is None:
        scored, left_out = score_runs(
            paths, include_partial=include_partial, checkpoint=checkpoint, read=read
        )
        matched = None
    elif checkpoint != layout.LAST:
        raise ValueError(f"runs are matched by evaluations during training, not by those of {checkpoint}")
    else:
        scored, left_out, matched = match_runs(paths, match, include_partial=include_partial, read=read)
    if not scored:
        raise _nothing_to_compare(left_out)
    return scored, left_out, matched


def _selection_notes(groups: Sequence[Group], items: int) -> Iterator[str]:
    """Say how best checkpoints were selected, where they are compared."""
    run = groups[0].runs[0].run
    selections = {group.label: group.selections for group in groups if group.selections}
    if selections:
        yield from selection_notes(selections, run.item, items, higher_is_better=run.score.higher_is_better)


def _nothing_to_compare(left_out: Sequence[LeftOut]) -> MtctlError:
    lines = [f"  {entry.run.path} {entry.reason}" for entry in left_out]
    remedies = [entry.remedy for entry in left_out if entry.remedy]
    return MtctlError("\n".join(["no run can be compared:", *lines]), hint="\n".join(remedies))


def _common_tasks(scored: Sequence[ScoredRun]) -> tuple[str, ...]:
    first = scored[0].run
    if any(entry.run.score.higher_is_better != first.score.higher_is_better for entry in scored):
        raise MtctlError(
            "these scores have no common order: higher is better for some runs, lower for others",
            hint="compare them separately",
        )
    tasks = common_names([entry.run.scored for entry in scored])
    if not tasks:
        raise MtctlError("these runs have no task in common", hint="compare runs of the same tasks")
    return tasks


def _reaching(
    trainings: Sequence[Sequence[TrainingSummary]], baseline: int, reference: Group, threshold: float | None
) -> list[dict[str, Reaching]]:
    """Return how much training each method needed, to the average's threshold and to each task's."""
    tasks, score = reference.tasks, reference.runs[0].run.score
    read = [followed([training.evaluations for training in each], tasks) for each in trainings]
    wanted = thresholds(score.success if threshold is None else threshold, read[baseline], tasks)

    def arrivals(runs: Sequence[Sequence[EvaluationRecord]], name: str) -> list[Arrival]:
        part = (name,) if name in tasks else tasks
        return [arrival(each, part, wanted[name], higher_is_better=score.higher_is_better) for each in runs]

    return [
        {name: reaching(wanted[name], arrivals(runs, name)) for name in wanted} if runs else {}
        for runs in read
    ]
