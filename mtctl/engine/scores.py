"""Evaluations as files keep them."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping
from typing import Any

from mtctl.engine import layout
from mtctl.problems.contract import Problem, Score, TaskEvaluation


def definition_hash(definition: Mapping[str, Any]) -> str:
    """Return the sha256 of a problem's definition in canonical JSON."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def summary(scored: TaskEvaluation, score: Score) -> dict[str, Any]:
    """Return one task's evaluation as metrics.jsonl keeps it."""
    returns = scored.returns
    return {
        "mean": statistics.fmean(returns),
        "sd": statistics.stdev(returns) if len(returns) > 1 else None,
        "success_rate": None
        if score.success is None
        else sum(value >= score.success for value in returns) / len(returns),
        "episodes": len(returns),
        **{ending: scored.outcomes.count(ending) for ending in ("landed", "crashed", "timed_out")},
        "steps": statistics.fmean(scored.steps),
    }


def evaluation_document(
    scores: Mapping[str, TaskEvaluation], name: str, done: int, problem: Problem
) -> dict[str, Any]:
    """Return eval.json's content: every held-out episode, in the list's order."""
    return {
        "schema": layout.SCHEMA,
        "checkpoint": name,
        "done": done,
        "seeds": "held_out",
        "episodes": len(next(iter(scores.values())).returns),
        "definition_hash": definition_hash(problem.definition),
        "tasks": {
            task: {
                "returns": list(scored.returns),
                "steps": list(scored.steps),
                "outcomes": list(scored.outcomes),
            }
            for task, scored in scores.items()
        },
    }
