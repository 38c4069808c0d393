"""Which runs can be compared, and their scores. The others are named with their reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from mtctl.analysis.budgets import Spent, spent_in_all
from mtctl.analysis.evaluation import Outcomes, count_outcomes, outcomes_of_means
from mtctl.analysis.selection import Selection, Unknown, judge_selection, selected
from mtctl.engine import layout
from mtctl.engine.lock import holder
from mtctl.history.formats import Evaluation, Run, TaskScores
from mtctl.history.records import TaskMeans
from mtctl.history.runs import evaluation, find_runs, read_run
from mtctl.history.summary import SummaryReader, TrainingSummary, recorded_summary
from mtctl.statistics import mean_of
from mtctl.text import command_line

Usable = TypeVar("Usable")


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """A run with an evaluation.

    Args:
        run: the run.
        seeds: the name of the list of seeds, or of the windows, that it was evaluated on.
        items: how many of each task.
        tasks: item by item where the evaluation was at the end of training; else means over items.
        spent: what it had spent by then.
        training: its training, where that was read already.
        selection: how its best checkpoint was selected, where that is what was scored.
    """

    run: Run
    seeds: str
    items: int
    tasks: Mapping[str, TaskScores | TaskMeans]
    spent: Spent
    training: TrainingSummary | None = None
    selection: Selection | None = None

    def mean(self, task: str, items: int) -> float:
        """Return a task's mean score over its first items; over all of them where only the mean is known."""
        scored = self.tasks[task]
        return scored.mean if isinstance(scored, TaskMeans) else mean_of(scored.scores[:items])

    def outcomes(self, task: str, items: int) -> Outcomes:
        """Count what became of a task's first items; of all where they are counted already."""
        scored = self.tasks[task]
        if isinstance(scored, TaskMeans):
            return outcomes_of_means(scored, self.run.score)
        return count_outcomes([scored.first(items)], self.run.score)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that a comparison cannot use.

    Args:
        run: the run.
        reason: why not, as the end of a sentence that starts with the run's path.
        remedy: the command that mends it; None if nothing needs mending.
    """

    run: Run
    reason: str
    remedy: str | None


def identity(run: Run) -> tuple[str, str, int]:
    """Return what decides a run: its recipe's name and hash, and its seed."""
    return run.name, run.recipe_hash, run.seed


def score_runs(
    paths: Iterable[Path],
    *,
    include_partial: bool = False,
    checkpoint: str = layout.LAST,
    read: SummaryReader = recorded_summary,
) -> tuple[list[ScoredRun], list[LeftOut]]:
    """Read the runs under `paths` and tell those with comparable scores from the rest.

    Args:
        paths: run directories, recipe folders or results roots.
        include_partial: use runs that are not completed too, if they were evaluated where they stopped.
        checkpoint: whose scores: `last`, the final policy's, or `best`, those of the checkpoint that
            evaluations during training selected, on held-out items.
        read: returns the trainings that are asked for.

    Raises:
        MtctlError: where a path holds no run or a file is corrupt.
    """
    judges: dict[str, Callable[[Run], ScoredRun | LeftOut]] = {
        layout.LAST: _score,
        layout.BEST: partial(_score_best, read=read),
    }
    used, left_out = judge_runs(paths, judges[checkpoint], include_partial=include_partial)
    return [scored for _, scored in used], left_out


def judge_runs(
    paths: Iterable[Path], judge: Callable[[Run], Usable | LeftOut], *, include_partial: bool
) -> tuple[list[tuple[Run, Usable]], list[LeftOut]]:
    """Read the runs under `paths` and tell those that can be used from the rest.

    A second copy of a run (same recipe, same seed) is left out: it would count one seed twice.

    Args:
        paths: run directories, recipe folders or results roots.
        judge: returns what a comparison uses of a run, or why it cannot.
        include_partial: let it judge runs that are not completed too.
    """
    used: dict[tuple[str, str, int], tuple[Run, Usable]] = {}
    left_out = []
    for path in find_runs(paths):
        run = read_run(path)
        stopped = run.status != "completed" and not include_partial
        judged = LeftOut(run, how_it_stopped(run), resuming(run)) if stopped else judge(run)
        if not isinstance(judged, LeftOut) and (first := used.get(identity(run))):
            judged = LeftOut(run, f"is a second copy of {first[0].path}", None)
        if isinstance(judged, LeftOut):
            left_out.append(judged)
        else:
            used[identity(run)] = run, judged
    return list(used.values()), left_out


def _score(run: Run) -> ScoredRun | LeftOut:
    scores = evaluation(run.path)
    if scores is None:
        reason = f"has not been evaluated: it has no {layout.EVALUATION}"
    elif scores.definition_hash != run.definition_hash:
        reason = f"was evaluated under another definition of its tasks ({layout.EVALUATION})"
    elif scores.done != run.budget.done:
        reason = f"was evaluated at {run.unit} {scores.done}, before its end at {run.budget.done}"
    elif missing := [task for task in run.scored if task not in scores.tasks]:
        reason = f"was not evaluated on {', '.join(missing)}"
    else:
        return _held_out(run, scores)
    if run.is_loop:
        unit = "its end" if run.unit == "interval" else f"its last {run.unit}"
        return LeftOut(run, f"has no validation losses after {unit}: see monitor.epoch(losses)", None)
    return LeftOut(run, reason, command_line(["mtctl", "eval", str(run.path)]))


def _score_best(run: Run, read: SummaryReader) -> ScoredRun | LeftOut:
    """Return the scores of a run's best checkpoint; its cost is that of the whole training."""
    file = f"eval-{layout.BEST}.json"
    if (training := read(run)) is None:
        return LeftOut(run, f"has no {layout.METRICS}, which records its best checkpoint", None)
    if (best := selected(run, training.evaluations)) is None:
        reason = "was not evaluated during training (`evaluation.every`): it has no best checkpoint"
        return LeftOut(run, reason, None)
    scores = evaluation(run.path, layout.BEST)
    if scores is None:
        reason = f"has no evaluation of its best checkpoint: it has no {file}"
    elif scores.definition_hash != run.definition_hash:
        reason = f"was evaluated under another definition of its tasks ({file})"
    elif scores.done != best.unit:
        reason = (
            f"has its best checkpoint at {run.unit} {best.unit}, but was evaluated when that was at "
            f"{run.unit} {scores.done} ({file})"
        )
    elif missing := [task for task in run.scored if task not in scores.tasks]:
        reason = f"has no evaluation of its best checkpoint on {', '.join(missing)}"
    elif isinstance(selection := judge_selection(run, training.evaluations, scores), Unknown):
        reason = selection.reason
    else:
        return replace(_held_out(run, scores), training=training, selection=selection)
    return LeftOut(run, reason, command_line(["mtctl", "eval", str(run.path), "--checkpoint", layout.BEST]))


def _held_out(run: Run, scores: Evaluation) -> ScoredRun:
    return ScoredRun(run, scores.seeds, scores.items, scores.tasks, spent_in_all(run))


def how_it_stopped(run: Run) -> str:
    """Return how a run that is not completed stopped, as the end of a sentence."""
    at = f"at {run.unit} {run.budget.done} of {run.budget.units}"
    holding = holder(run.path)
    if holding.state == "held":
        return f"is being trained by {holding}"
    if run.status == "running":
        if holding.state == "unknown":
            return "is still running, or was killed: its lock does not show which from here"
        saved = f"its last checkpoint is {at}" if run.budget.done else "before its first checkpoint"
        return f"ended without an error message (killed?), {saved}"
    if run.status == "interrupted":
        return f"was interrupted {at}"
    return f"failed {at}" + (f": {run.error.message}" if run.error else "")


def resuming(run: Run) -> str | None:
    """Return the command that continues a run.

    None while a process trains it, or may, where it lies elsewhere than training would look for it, and where
    an earlier version or a loop of one's own wrote it.
    """
    root, state = run.path.parent.parent, holder(run.path).state
    trained = state == "held" or (state == "unknown" and run.status == "running")
    if trained or not may_be_trained(run):
        return None
    words = ["mtctl", "train", str(run.path / layout.RECIPE), "--seed", str(run.seed)]
    if root != layout.results_root():
        words += ["--results-dir", str(root)]
    return command_line([*words, "--resume"])


def may_be_trained(run: Run) -> bool:
    """Say whether `mtctl train` writes runs of this recipe beside it.

    Not where it lies elsewhere than training would look for it, nor where an earlier version or a loop of
    one's own wrote it.
    """
    in_its_place = run.path.absolute().parts[-2:] == (run.name, f"seed{run.seed}")
    return run.schema_number == layout.SCHEMA and not run.is_loop and in_its_place
