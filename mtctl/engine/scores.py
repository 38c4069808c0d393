"""Evaluations as files keep them."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtctl.engine import layout
from mtctl.engine.fit import Diverged, cause_of, place_of
from mtctl.problems.contract import Problem, SeedList, TaskEvaluation
from mtctl.problems.score import Score


def evaluate(
    problem: Problem, items: int | None, seeds: SeedList, tasks: tuple[str, ...] | None = None
) -> dict[str, TaskEvaluation]:
    """Score a problem as its own `evaluate` does, with figures that files may hold.

    Raises:
        Diverged: a task's score or measure is not finite, or beyond all sense.
    """
    found = problem.evaluate(items, seeds, tasks)
    refuse_non_finite(problem, found, seeds)
    return found


def refuse_non_finite(problem: Problem, found: Mapping[str, TaskEvaluation], seeds: SeedList) -> None:
    """Refuse what an evaluation of a list found if files may not hold it.

    Raises:
        Diverged: a task's score or measure is not finite, or beyond all sense.
    """
    for task, scored in found.items():
        figures = [*((problem.score.name, value) for value in scored.scores), *scored.measures.items()]
        bad = next(((name, value) for name, value in figures if not abs(value) < layout.LARGEST), None)
        if bad is not None:
            place = f"the evaluation after {place_of(problem, problem.done)}"
            raise Diverged(task, place, f"{bad[0]} {bad[1]:g}", cause_of(problem, task, seeds))


def definition_hash(definition: Mapping[str, Any]) -> str:
    """Return the sha256 of a problem's definition in canonical JSON."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def summary(scored: TaskEvaluation, score: Score) -> dict[str, Any]:
    """Return one task's evaluation as metrics.jsonl keeps it."""
    scores, outcomes = scored.scores, scored.outcomes
    return {
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "success_rate": _success_rate(scores, score),
        "items": len(scores),
        "outcomes": None if outcomes is None else {name: outcomes.count(name) for name in score.outcomes},
        "steps": None if scored.steps is None else statistics.fmean(scored.steps),
        "measures": dict(scored.measures),
    }


def _success_rate(scores: tuple[float, ...], score: Score) -> float | None:
    if score.success is None:
        return None
    return sum(map(score.succeeds, scores)) / len(scores)


def evaluation_document(
    evaluations: Mapping[str, TaskEvaluation], name: str, done: int, problem: Problem
) -> dict[str, Any]:
    """Return eval.json's content: every held-out item that has a target, in the list's order."""
    return {
        "schema": layout.SCHEMA,
        "checkpoint": name,
        "done": done,
        "seeds": "held_out",
        "items": max(len(scored.scores) for scored in evaluations.values()),
        "definition_hash": definition_hash(problem.definition),
        "tasks": {
            task: {
                "scores": list(scored.scores),
                "steps": None if scored.steps is None else list(scored.steps),
                "outcomes": None if scored.outcomes is None else list(scored.outcomes),
                "measures": dict(scored.measures),
            }
            for task, scored in evaluations.items()
        },
    }


def final_evaluation(file: Path, problem: Problem, units: int) -> dict[str, Any] | None:
    """Return a file's document if it evaluates all a problem's tasks after so many units of training."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(tasks := found.get("tasks"), dict):
        return None
    wanted = (layout.SCHEMA, layout.LAST, units, definition_hash(problem.definition))
    keys = ("schema", "checkpoint", "done", "definition_hash")
    complete = tuple(map(found.get, keys)) == wanted and tasks.keys() >= set(problem.scored)
    return found if complete else None
