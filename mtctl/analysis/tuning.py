"""How much methods were tuned, as their recipes declare it, and whether that makes a comparison unfair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from mtctl.history.formats import RecordedTuning, Run

MUCH_LESS: Final = 3
"""Ratio of tuning runs from which a note is given: the best of three times as many tries gains by luck alone,
and no convention says how many are fair."""


def declared(runs: Iterable[Run]) -> RecordedTuning | None:
    """Return what a method's runs declare, the most where they differ; None where none declares anything."""
    known = [run.tuning for run in runs if run.tuning is not None]
    return max(known, key=lambda each: -1 if each.runs is None else each.runs, default=None)


def tuning_text(tuning: RecordedTuning | None) -> str:
    """Return "tuned with 12 runs", or what else is declared."""
    if tuning is None:
        return "undeclared"
    if tuning.runs is None:
        return "tuned, runs not counted"
    if tuning.runs == 0:
        return "not tuned"
    return f"tuned with {tuning.runs:,} run{'s' if tuning.runs > 1 else ''}"


def tuning_notes(methods: Mapping[str, RecordedTuning | None], baseline: str) -> Iterator[str]:
    """Yield what to be careful about: a tuned method against one that is undeclared, or tuned much less.

    Args:
        methods: what each declares, by label.
        baseline: the label of the method that the others are compared with.
    """
    own = methods[baseline]
    others = {label: tuning for label, tuning in methods.items() if label != baseline}
    may = "tuning may be part of a difference"
    if is_tuned(own):
        silent = [label for label, tuning in others.items() if tuning is None]
        if silent:
            yield (
                f"{baseline} is {tuning_text(own)}, and the tuning of {', '.join(silent)} is undeclared "
                f"(`tuning:` in a recipe): {may}"
            )
    elif own is None:
        tuned = [f"{label} is {tuning_text(tuning)}" for label, tuning in others.items() if is_tuned(tuning)]
        if tuned:
            yield (
                f"{', '.join(tuned)}, and the tuning of {baseline} is undeclared (`tuning:` in a recipe): "
                f"{may}"
            )
    unequal = [
        f"{label} is {tuning_text(tuning)}"
        for label, tuning in others.items()
        if own is not None and tuning is not None and _far_apart(own.runs, tuning.runs)
    ]
    if unequal:
        yield f"{', '.join(unequal)}, and {baseline} is {tuning_text(own)}: {may}"


def is_tuned(tuning: RecordedTuning | None) -> bool:
    """Say whether a method declares that it was tuned."""
    return tuning is not None and tuning.runs != 0


def _far_apart(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return False
    return max(one, other) >= MUCH_LESS * max(1, min(one, other))
