"""Runs compared at the same cost: by their evaluations during training, not by where each of them ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from mtctl.analysis.budgets import Spent
from mtctl.analysis.scores import LeftOut, ScoredRun, judge_runs
from mtctl.engine import layout
from mtctl.errors import MtctlError
from mtctl.history.formats import Run
from mtctl.history.records import EvaluationRecord
from mtctl.history.summary import SummaryReader, TrainingSummary, recorded_summary

DURING = "monitor"
"""The list of seeds that evaluations during training use."""


class Budget(StrEnum):
    """What runs can be matched by."""

    STEPS = "steps"
    UPDATES = "updates"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Matched:
    """Runs at one budget.

    Args:
        by: what the budget counts.
        limit: the largest that all runs reached, in steps, updates or seconds of training.
        first: the earliest unit of training that a run is scored at.
        last: the latest.
        fewest: the fewest items of each task that an evaluation scored.
        most: the most.
    """

    by: Budget
    limit: float
    first: int
    last: int
    fewest: int
    most: int


def match_runs(
    paths: Iterable[Path],
    by: Budget,
    *,
    include_partial: bool = False,
    read: SummaryReader = recorded_summary,
) -> tuple[list[ScoredRun], list[LeftOut], Matched | None]:
    """Score each run by its last evaluation during training within the largest budget that all runs reached.

    The seconds that an evaluation came after are not recorded: they are the run's seconds of training in
    proportion to its environment steps, or to its updates where nothing is played.

    Args:
        paths: run directories, recipe folders or results roots.
        by: what the budget counts.
        include_partial: use runs that are not completed too.
        read: returns their trainings.

    Returns:
        The runs, those that cannot be used, and the budget; no budget without a run.

    Raises:
        MtctlError: where a path holds no run, a file is corrupt, or a run does not count `by`.
    """
    evaluated, left_out = judge_runs(paths, partial(_evaluated, read=read), include_partial=include_partial)
    if not evaluated:
        return [], left_out, None
    limit = min(_spent(run, _complete(run, training)[-1], by) for run, training in evaluated)
    scored = []
    for run, training in evaluated:
        within = [record for record in _complete(run, training) if _spent(run, record, by) <= limit]
        if within:
            scored.append(_scored(run, training, within[-1]))
        else:
            reason = f"has no evaluation within {amount(by, limit)}, the largest budget that all runs reached"
            left_out.append(LeftOut(run, reason, None))
    places, items = [each.spent.units for each in scored], [each.items for each in scored]
    return scored, left_out, Matched(by, limit, min(places), max(places), min(items), max(items))


def amount(by: Budget, value: float) -> str:
    """Return an amount of what runs are matched by, in words."""
    words = {Budget.STEPS: "environment steps", Budget.UPDATES: "updates", Budget.TIME: "seconds of training"}
    return f"{value:,.0f} {words[by]}"


def match_notes(matched: Matched, runs: Sequence[ScoredRun]) -> Iterator[str]:
    """Say what is compared."""
    run = runs[0].run
    first, last = f"{matched.first:,}", f"{matched.last:,}"
    where = f"at {run.unit} {first}" if first == last else f"at {run.unit}s {first} to {last}"
    count = f"{matched.fewest}" if matched.fewest == matched.most else f"{matched.fewest} to {matched.most}"
    yield (
        f"matched at {amount(matched.by, matched.limit)}, which every run reached: scores are those of the "
        f"last evaluation during training before that, {where}, over {count} {run.item}s of each task, not "
        f"the held-out ones"
    )
    if matched.by is Budget.TIME:
        counted = "updates" if run.budget.environment_steps is None else "environment steps"
        yield f"the time of an evaluation is the run's training time in proportion to its {counted}"


def _evaluated(run: Run, read: SummaryReader) -> TrainingSummary | LeftOut:
    if (training := read(run)) is None:
        return LeftOut(run, f"has no {layout.METRICS}, which records its scores during training", None)
    if _complete(run, training):
        return training
    return LeftOut(run, "was not evaluated during training (`evaluation.every`)", None)


def _complete(run: Run, training: TrainingSummary) -> list[EvaluationRecord]:
    """Return the evaluations of all tasks."""
    return [record for record in training.evaluations if all(task in record.tasks for task in run.scored)]


def _scored(run: Run, training: TrainingSummary, record: EvaluationRecord) -> ScoredRun:
    seconds = _spent(run, record, Budget.TIME)
    spent = Spent(record.unit, record.environment_steps, record.updates, seconds)
    return ScoredRun(
        run, DURING, min(task.items for task in record.tasks.values()), record.tasks, spent, training
    )


def _spent(run: Run, record: EvaluationRecord, by: Budget) -> float:
    if by is Budget.UPDATES:
        return record.updates
    steps, all_steps = record.environment_steps, run.budget.environment_steps
    if by is Budget.STEPS:
        if steps is None:
            raise MtctlError(
                f"--match steps: {run.path} has no environment steps",
                hint="use `--match updates` or `--match time`",
            )
        return steps
    done, total = (
        (record.updates, run.budget.updates) if steps is None or not all_steps else (steps, all_steps)
    )
    return run.seconds.training * done / total if total else 0.0
