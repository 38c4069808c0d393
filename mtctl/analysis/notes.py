"""What a reader of a comparison should know besides its numbers, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mtctl.analysis.bootstrap import FEWEST_SEEDS
from mtctl.analysis.grouping import Group
from mtctl.analysis.scores import ScoredRun, how_it_stopped
from mtctl.engine import layout
from mtctl.history.records import TaskMeans
from mtctl.statistics import mean_of
from mtctl.text import command_line

FEW_SEEDS = 5
"""Below, percentile intervals are too narrow: simulated with three tasks, those of three seeds hold the truth
in 81 % of the cases, of five in 88 %, of ten in 91 %."""


def notes(
    scored: Sequence[ScoredRun], groups: Sequence[Group], baseline: Group, unrecorded: int
) -> Iterator[str]:
    """Tell what was cut, kept apart, or could not be estimated.

    Args:
        scored: all runs.
        groups: the methods.
        baseline: the one that others are compared with.
        unrecorded: how many runs have no records of their training.
    """
    if not any(isinstance(task, TaskMeans) for entry in scored for task in entry.tasks.values()):
        yield from _cut_items(scored)
    yield from _partial(scored)
    yield from _namesakes(groups)
    yield from _unpaired(groups, baseline)
    yield from _small_baseline(groups, baseline)
    if too_few := [group.label for group in groups if len(group.runs) < FEWEST_SEEDS]:
        beside = ", Δm and P(better)" if len(groups) > 1 else ""
        yield (
            f"bootstrap intervals{beside} are left out below {FEWEST_SEEDS} seeds, where they mean nothing: "
            f"{', '.join(too_few)}"
        )
    few = [group.label for group in groups if FEWEST_SEEDS <= len(group.runs) < FEW_SEEDS]
    if few:
        yield (
            f"bootstrap intervals of fewer than {FEW_SEEDS} seeds are too narrow ({', '.join(few)}); "
            f"verdicts come from t tests of differences paired by seed, which account for that"
        )
    if unrecorded:
        runs = "one run has" if unrecorded == 1 else f"{unrecorded} runs have"
        yield f"{runs} no {layout.METRICS}: figures about training leave them out"
    if single := [group.label for group in groups if len(group.runs) == 1]:
        yield (
            "no interval over seeds or for one more run, with one seed each (2 are needed): "
            f"{', '.join(single)}"
        )


def _partial(scored: Sequence[ScoredRun]) -> Iterator[str]:
    for entry in scored:
        if entry.run.status != "completed":
            yield f"{entry.run.path} {how_it_stopped(entry.run)}, and is compared in its present state"


def _small_baseline(groups: Sequence[Group], baseline: Group) -> Iterator[str]:
    odd = [task for task in baseline.tasks if mean_of(baseline.scores(task)) <= 0]
    if odd and sum(len(group.runs) >= FEWEST_SEEDS for group in groups) > 1:
        yield (
            f"Δm is left out: it divides by the scores of {baseline.label}, which are not positive on "
            f"{', '.join(odd)}"
        )


def _cut_items(scored: Sequence[ScoredRun]) -> Iterator[str]:
    counts = [entry.items for entry in scored]
    fewest, most = min(counts), max(counts)
    if fewest < most:
        same = len({entry.seeds for entry in scored}) == 1
        yield (
            f"runs have {fewest} to {most} held-out {scored[0].run.item}s of each task; "
            f"the first {fewest} are compared{', which all runs share' if same else ''}"
        )


def _namesakes(groups: Sequence[Group]) -> Iterator[str]:
    by_name: dict[str, list[Group]] = {}
    for group in groups:
        by_name.setdefault(group.runs[0].run.name, []).append(group)
    for name, several in by_name.items():
        if len(several) > 1:
            files = [str(group.runs[0].run.path / layout.RECIPE) for group in several[:2]]
            yield (
                f"{name} is the name of {len(several)} different recipes, which are listed separately; "
                f"`{command_line(['mtctl', 'recipes', 'diff', *files])}` shows how they differ"
            )


def _unpaired(groups: Sequence[Group], baseline: Group) -> Iterator[str]:
    reference = {entry.run.seed for entry in baseline.runs}
    for group in groups:
        own = {entry.run.seed for entry in group.runs}
        common = len(own & reference)
        if common == 0:
            yield f"{group.label} and {baseline.label} share no seed: their difference is that of the means"
        elif common < max(len(own), len(reference)):
            shared = "one seed" if common == 1 else f"{common} seeds"
            yield f"{group.label} and {baseline.label} are compared on the {shared} that they share"
