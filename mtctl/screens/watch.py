"""What `mtctl compare --watch` shows while runs are under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from rich.console import Group, RenderableType
from rich.text import Text

from mtctl.analysis.grouping import method_labels
from mtctl.following.progress import Progress
from mtctl.following.runs import Followed
from mtctl.history.formats import Run
from mtctl.screens.figures import NOTHING, estimates, number
from mtctl.screens.prose import Sentence
from mtctl.screens.tables import Column, StackedTable
from mtctl.screens.train import line, runs_screen
from mtctl.statistics import estimate, mean_of
from mtctl.text import show_text


def watch_screen(runs: Sequence[Followed], seconds_left: float | None) -> RenderableType:
    """Show the runs under way, a row each, what became of the others, and how methods do so far.

    Args:
        runs: all runs.
        seconds_left: until the watch ends if no other run begins; None while one is under way.
    """
    moving = [(run.progress, run.status) for run in runs if run.under_way and run.progress is not None]
    parts: list[RenderableType] = [runs_screen(moving, bars=True)] if moving else []
    parts.append(Text(show_text(summary(runs, seconds_left)), style="dim"))
    parts += [Text(show_text(sentence), style="yellow") for sentence in map(trouble, runs) if sentence]
    if waiting := [str(run.path) for run in runs if run.status == "queued"]:
        parts.append(Sentence(f"queued: {', '.join(waiting)}", tone="dim"))
    for table in so_far_tables(runs):
        parts += ["", table]
    return Group(*parts)


def watch_line(progress: Progress) -> str:
    """Say in one line how a run goes, its latest evaluation included."""
    return line(progress) + (f"  eval {number(progress.evaluation)}" if progress.is_scored else "")


def summary(runs: Sequence[Followed], seconds_left: float | None) -> str:
    """Count the runs by how they are."""
    counts = Counter("under way" if run.status in ("starting", "running") else run.status for run in runs)
    parts = [f"{count} {status}" for status, count in counts.items()] or ["waiting for the first run"]
    if seconds_left is not None and runs:
        parts.append(f"ends in {ceil(seconds_left)} s unless another run starts")
    return " · ".join([*parts, "Ctrl-C stops watching"])


def trouble(run: Followed) -> str | None:
    """Say what went wrong with a run; None if nothing did."""
    if run.status not in ("failed", "stopped", "unknown", "unreadable", "interrupted"):
        return None
    why = (
        "its process ended without an error message (killed?); --resume continues it"
        if run.status == "stopped"
        else run.why
    )
    return f"{run.path} {run.status}{f': {why}' if why else ''}"


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """A run that has been evaluated."""

    run: Run
    progress: Progress

    @property
    def last(self) -> int:
        return self.progress.evaluations[-1][0]


def so_far_tables(runs: Sequence[Followed]) -> Iterator[StackedTable]:
    """Yield how methods do by their evaluations during training, for each kind of problem among the runs."""
    kinds: dict[tuple[str, str, tuple[str, ...]], list[_Evaluated]] = {}
    for each in runs:
        if each.run is not None and each.progress is not None and each.progress.evaluations:
            key = each.run.unit, each.run.score.name, each.run.tasks
            kinds.setdefault(key, []).append(_Evaluated(each.run, each.progress))
    for evaluated in kinds.values():
        yield _so_far(evaluated)


def _so_far(runs: Sequence[_Evaluated]) -> StackedTable:
    methods: dict[tuple[str, str], list[_Evaluated]] = {}
    for each in runs:
        methods.setdefault((each.run.name, each.run.recipe_hash), []).append(each)
    first, labels = runs[0].run, method_labels(methods)
    common = set.intersection(*({place for place, _ in each.progress.evaluations} for each in runs))
    order = sorted(
        methods, key=lambda each: mean_of(_averages(methods[each])), reverse=first.score.higher_is_better
    )
    several = [methods[each] for each in order]
    title = f"So far: mean {first.score.name} in the latest evaluation during training, over seeds"
    latest = (
        Column("seeds", (f"{len(each):,}" for each in several)),
        Column(f"at {first.unit}", map(_places, several)),
        *(Column(task, (_mean(each, task) for each in several)) for task in first.tasks),
        Column("average", estimates([estimate(_averages(each)) for each in several])),
    )
    alike: tuple[Column, ...] = ()
    if common and (place := max(common)) < max(each.last for each in runs):
        title += f"; and at {first.unit} {place:,}, the last that all runs have reached"
        values = [estimate([dict(one.progress.evaluations)[place] for one in each]) for each in several]
        alike = (Column(f"at {first.unit} {place:,}", estimates(values)),)
    return StackedTable(title, Column("method", (labels[each] for each in order), text=True), latest, alike)


def _places(runs: Sequence[_Evaluated]) -> str:
    places = [each.last for each in runs]
    low, high = min(places), max(places)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _mean(runs: Sequence[_Evaluated], task: str) -> str:
    scores = [each.progress.tasks[task].score for each in runs]
    known = [score for score in scores if score is not None]
    return number(mean_of(known)) if len(known) == len(scores) else NOTHING


def _averages(runs: Sequence[_Evaluated]) -> list[float]:
    return [each.progress.evaluations[-1][1] for each in runs]
