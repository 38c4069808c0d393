"""Curve files as tools write them, with what a diagnosis must say of each; files beside this make them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mtctl.diagnosis.records.trends import Values

NAN: Final = float("nan")


@dataclass(frozen=True)
class CurveFile:
    """What a tool wrote, and what is right to say of it.

    Args:
        files: text by name.
        tasks: names of the curves to be judged.
        faults: by task, codes of which one must be found (a warning or an error).
        states: by task, the states that are right.
    """

    files: Mapping[str, str]
    tasks: frozenset[str]
    faults: Mapping[str, frozenset[str]] = field(default_factory=dict)
    states: Mapping[str, frozenset[str]] = field(default_factory=dict)


def falling(
    n: int, first: float = 2.0, last: float = 0.2, tau: float = 0.25, noise: float = 0.03, seed: int = 0
) -> Values:
    rng = np.random.default_rng(seed)
    curve = last + (first - last) * np.exp(-np.linspace(0, 1, n) / tau)
    return np.asarray(curve * (1 + noise * rng.standard_normal(n)))


def level(n: int, value: float = 1.5, noise: float = 0.01, seed: int = 1) -> Values:
    return np.asarray(value * (1 + noise * np.random.default_rng(seed).standard_normal(n)))


def rising(n: int, first: float = 1.0, last: float = 4.0, noise: float = 0.03, seed: int = 2) -> Values:
    return np.asarray(
        np.linspace(first, last, n) * (1 + noise * np.random.default_rng(seed).standard_normal(n))
    )


def valley(
    n: int, first: float = 2.0, lowest: float = 0.4, last: float = 1.8, at: float = 0.4, seed: int = 3
) -> Values:
    """Fall, then rise again."""
    down = falling(int(n * at), first, lowest, 0.2, 0.02, seed)
    return np.concatenate([down, rising(n - len(down), lowest, last, 0.02, seed)])


def exploding(n: int, first: float = 1.0, growth: float = 1e6, noise: float = 0.2, seed: int = 4) -> Values:
    rng = np.random.default_rng(seed)
    return np.asarray(first * growth ** np.linspace(0, 1, n) * np.exp(noise * rng.standard_normal(n)))


def csv(columns: Mapping[str, Any], delimiter: str = ",", missing: str = "") -> str:
    def cell(value: Any) -> str:
        return missing if value is None else str(value)

    rows = zip(*columns.values(), strict=True)
    return "".join(delimiter.join(line) + "\n" for line in [list(columns), *(map(cell, row) for row in rows)])


def jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def every(n: int, values: Sequence[float], length: int, offset: int = 0) -> list[float | None]:
    """Return a column with a value in every nth row only."""
    column: list[float | None] = [None] * length
    column[offset::n] = [float(value) for value in values][: len(column[offset::n])]
    return column


FLAT: Final = frozenset({"flat-task"})
UP: Final = frozenset({"rising-loss", "diverged", "conflict", "learning-rate"})
BLOWN: Final = frozenset({"diverged"})
OVER: Final = frozenset({"overfitting"})


def written(
    name: str,
    text: str | Mapping[str, str],
    *tasks: str,
    states: Mapping[str, str] | None = None,
    named: Mapping[str, frozenset[str]] | None = None,
    **faults: frozenset[str],
) -> CurveFile:
    files = {name: text} if isinstance(text, str) else text
    split = {task: frozenset(allowed.split()) for task, allowed in (states or {}).items()}
    return CurveFile(files, frozenset(tasks), {**faults, **(named or {})}, split)


def written_cases(names: Mapping[str, Any]) -> dict[str, Callable[[], CurveFile]]:
    """Return the functions of a module that make curve files."""
    return {
        name: value
        for name, value in names.items()
        if callable(value) and getattr(value, "__annotations__", {}) == {"return": "CurveFile"}
    }
