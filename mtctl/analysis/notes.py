"""What a reader of a comparison should know besides its numbers, as sentences."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from mtctl.analysis.grouping import Group
from mtctl.analysis.scores import ScoredRun
from mtctl.engine import layout


def notes(scored: Sequence[ScoredRun], groups: Sequence[Group], baseline: Group) -> Iterator[str]:
    """Tell what was cut, kept apart, or could not be estimated."""
    yield from _cut_items(scored)
    yield from _namesakes(groups)
    yield from _unpaired(groups, baseline)
    if single := [group.label for group in groups if len(group.runs) == 1]:
        yield f"no interval over seeds, with one seed each: {', '.join(single)}"


def _cut_items(scored: Sequence[ScoredRun]) -> Iterator[str]:
    counts = [entry.evaluation.items for entry in scored]
    fewest, most = min(counts), max(counts)
    if fewest < most:
        same = len({entry.evaluation.seeds for entry in scored}) == 1
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
                f"{name} stands for {len(several)} different recipes, which are kept apart; "
                f"`{shlex.join(['mtctl', 'recipes', 'diff', *files])}` shows how they differ"
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
