"""Whether runs measured the same thing: problem, tasks and their definition, score, held-out data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import JsonValue

from mtctl.analysis.scores import ScoredRun
from mtctl.errors import MtctlError
from mtctl.text import show_text


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that differs between runs.

    Args:
        what: its place, such as "tasks" or "definition.tasks.windy.wind_power".
        values: each value with the runs that have it.
    """

    what: str
    values: tuple[tuple[str, tuple[Path, ...]], ...]


class MismatchError(MtctlError):
    """Runs that measure different things were to be compared.

    Args:
        mismatches: everything that differs.
    """

    def __init__(self, mismatches: tuple[Mismatch, ...]) -> None:
        places = ", ".join(mismatch.what for mismatch in mismatches)
        super().__init__(
            f"these runs cannot be compared: they differ in {places}",
            hint="compare runs of one kind, or add --allow-mismatch to compare the tasks in common",
        )
        self.mismatches = mismatches


def common_names(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the names that all runs have, in the first one's order."""
    return tuple(name for name in names[0] if all(name in each for each in names))


def find_mismatches(runs: Sequence[ScoredRun]) -> tuple[Mismatch, ...]:
    """Return everything that makes a comparison of these runs undefined; empty if it is defined."""
    properties: dict[str, Callable[[ScoredRun], JsonValue]] = {
        "problem": lambda entry: entry.run.problem,
        "tasks": lambda entry: ", ".join(sorted(entry.run.scored)),
        "score.name": lambda entry: entry.run.score.name,
        "score.higher_is_better": lambda entry: entry.run.score.higher_is_better,
        "score.success": lambda entry: entry.run.score.success,
        "evaluation.seeds": lambda entry: entry.seeds,
    }
    mismatches = [
        mismatch
        for what, value in properties.items()
        for mismatch in _differing(what, [(entry.run.path, value(entry)) for entry in runs])
    ]
    if len({entry.run.problem for entry in runs}) > 1:
        return tuple(mismatches)
    if len({entry.run.definition_hash for entry in runs}) > 1:
        scored = [entry.run.scored for entry in runs]
        not_common = frozenset(chain.from_iterable(scored)).difference(common_names(scored))
        definitions: list[tuple[Path, JsonValue]] = [(entry.run.path, entry.run.definition) for entry in runs]
        hashes: list[tuple[Path, JsonValue]] = [(entry.run.path, entry.run.definition_hash) for entry in runs]
        visible = _differing("definition", definitions, not_common)
        mismatches += visible if visible or not_common else _differing("definition_hash", hashes)
    return tuple(mismatches)


def _differing(
    what: str, values: Sequence[tuple[Path, JsonValue]], not_common: frozenset[str] = frozenset()
) -> list[Mismatch]:
    """Compare a value over runs; of objects, only the parts that differ.

    That a task which only some runs have is defined only there needs no saying: `not_common` are these tasks.
    """
    first = values[0][1]
    if isinstance(first, str | bool) and all(value is first or value == first for _, value in values):
        return []
    objects = [(path, value) for path, value in values if isinstance(value, dict)]
    if len(objects) < len(values):
        texts = (
            value if isinstance(value, str) else json.dumps(value, sort_keys=True) for _, value in values
        )
        return list(_grouped(what, zip((path for path, _ in values), texts, strict=True)))
    mismatches: list[Mismatch] = []
    for key in dict.fromkeys(key for _, value in objects for key in value):
        place = f"{what}.{key}"
        present = [(path, value[key]) for path, value in objects if key in value]
        if key not in not_common:
            mismatches += _grouped(
                place, ((path, "given" if key in value else "absent") for path, value in objects)
            )
        mismatches += _differing(place, present, not_common)
    return mismatches


def _grouped(what: str, texts: Iterable[tuple[Path, str]]) -> Iterator[Mismatch]:
    """Yield a mismatch unless all texts are equal."""
    groups: dict[str, list[Path]] = {}
    for path, text in texts:
        groups.setdefault(show_text(text), []).append(path)
    if len(groups) > 1:
        yield Mismatch(show_text(what), tuple((text, tuple(paths)) for text, paths in groups.items()))
