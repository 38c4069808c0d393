"""A comparison for other programs: one JSON document, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mtctl.analysis.comparison import Comparison
from mtctl.analysis.evaluation import Outcomes, TaskSummary
from mtctl.analysis.methods import Aggregate, ComparedMethod
from mtctl.analysis.profiles import Profile, profiles, quartiles
from mtctl.analysis.selection import Rescored, Selection
from mtctl.analysis.tolerance import SHARE, Tolerance, seeds_for_any_shape
from mtctl.statistics import LEVEL, Estimate, Interval
from mtctl.text import show_text

if TYPE_CHECKING:
    from mtctl.problems.kind import Published

SCHEMA = 3
"""Version of the JSON document; goes up when a key changes its meaning or goes away."""


def as_document(comparison: Comparison, reference: Published | None = None) -> dict[str, Any]:
    """Return the comparison as JSON values, with published figures apart."""
    matched = comparison.matched
    return {
        "schema": SCHEMA,
        "problem": comparison.problem,
        "score": comparison.score.model_dump(),
        "tasks": list(comparison.tasks),
        "balanced": list(comparison.balanced),
        "item": comparison.item,
        "items": comparison.items,
        "unit": comparison.unit,
        "checkpoint": comparison.checkpoint,
        "matched": asdict(matched) if matched else None,
        "baseline": comparison.baseline,
        "profile_thresholds": quartiles(comparison).tolist(),
        "methods": _methods(comparison),
        "reference": []
        if reference is None
        else [
            {**asdict(row), "average": row.average, "runs": 1, "items": reference.items}
            for row in reference.rows
        ],
        "left_out": [
            {"path": str(entry.run.path), "reason": entry.reason, "remedy": entry.remedy}
            for entry in comparison.left_out
        ],
        "mismatches": [
            {
                "what": mismatch.what,
                "values": [{"value": value, "runs": list(map(str, runs))} for value, runs in mismatch.values],
            }
            for mismatch in comparison.mismatches
        ],
        "warnings": list(comparison.warnings),
        "notes": list(comparison.notes),
    }


def as_csv(comparison: Comparison) -> str:
    """Return CSV: a line for each method, and a column for each value of its entry in the document."""
    rows = [dict(_flat("", method)) for method in _methods(comparison)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _methods(comparison: Comparison) -> list[dict[str, Any]]:
    found = profiles(comparison, quartiles(comparison))
    return [_method(method, found[method.label]) for method in comparison.methods]


def _flat(place: str, value: Any) -> Iterator[tuple[str, str | float | None]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(f"{place}.{key}" if place else key, part)
    else:
        yield show_text(place), _cell(value)


def _cell(value: Any) -> Any:
    """Return text without what would steer a terminal, or begin a new line of the table."""
    text = " ".join(map(str, value)) if isinstance(value, list) else value
    return show_text(text) if isinstance(text, str) else text


def _method(method: ComparedMethod, profile: Profile) -> dict[str, Any]:
    spending, difference = method.spending, method.difference
    return {
        "label": method.label,
        "name": method.name,
        "recipe_hash": method.recipe_hash,
        "seeds": list(method.seeds),
        "runs": list(map(str, method.paths)),
        "tasks": {
            name: {**estimate_entry(task.score), **_outcomes(task.outcomes)}
            for name, task in method.tasks.items()
        },
        "average": {**estimate_entry(method.average), **_outcomes(method.outcomes)},
        "difference": {
            "mean": difference.mean if difference else None,
            **_interval(difference.interval if difference else None),
            "common_seeds": difference.common_seeds if difference else None,
            "p_value": difference.p_value if difference else None,
            "p_holm": difference.adjusted if difference else None,
            "seeds_needed": difference.seeds_needed if difference else None,
        },
        "aggregates": {name: _aggregate(aggregate) for name, aggregate in method.aggregates.items()},
        "probability_of_improvement": _aggregate(method.improvement),
        "mean_rank": method.rank,
        "relative_change_percent": method.relative_change,
        "verdict": method.verdict,
        "profile": _profile(profile),
        "tolerance": _tolerance(method.tolerance),
        "tuning": method.tuning.model_dump() if method.tuning else None,
        "reaching": {name: asdict(reached) for name, reached in method.reaching.items()},
        "sharing": asdict(method.sharing) if method.sharing else None,
        "score_per_1000_parameters": method.per_thousand_parameters,
        "parameters": method.parameters.model_dump(),
        "budget": {
            "units": spending.units,
            "environment_steps": spending.environment_steps,
            "updates": spending.updates,
            "samples_per_update": spending.samples_per_update,
        },
        "selection_bias": estimate_entry(method.selection_bias),
        "seconds": spending.seconds,
        "per_second": spending.pace,
        "peak_memory_mb": spending.memory_mb,
    }


def estimate_entry(estimate: Estimate | None) -> dict[str, float | None]:
    """Return a mean with what is known of it; without values where there is none."""
    if estimate is None:
        return {**dict.fromkeys(("n", "mean", "sd")), **_interval(None)}
    return {"n": estimate.n, "mean": estimate.mean, "sd": estimate.sd, **_interval(estimate.interval)}


def success_entry(task: TaskSummary) -> dict[str, Any]:
    """Return a task's success rate with its interval; nulls where there is no threshold of success."""
    return {"success_rate": task.outcomes.success_rate, "success_interval": _interval(task.success)}


def selection_entry(selection: Selection) -> dict[str, Any]:
    """Return what a checkpoint was selected for and what it is worth on fresh items."""
    last = selection.last
    return {
        "unit": selection.place,
        "evaluations": selection.evaluations,
        "ties": selection.ties,
        "tasks": {task: _rescored(rescored) for task, rescored in selection.tasks.items()},
        "average": _rescored(selection.average),
        "last": None
        if last is None
        else {"unit": last.done, "mean": last.mean, "difference": estimate_entry(last.difference)},
    }


def _rescored(rescored: Rescored) -> dict[str, Any]:
    return {
        "selected_for": rescored.recorded,
        "items": rescored.items,
        "fresh": estimate_entry(rescored.fresh),
        "bias": {"mean": rescored.bias, **_interval(rescored.interval)},
    }


def _aggregate(aggregate: Aggregate | None) -> dict[str, float | None]:
    return {
        "value": aggregate.value if aggregate else None,
        **_interval(aggregate.interval if aggregate else None),
    }


def _profile(profile: Profile) -> dict[str, list[float] | None]:
    low, high = (None, None) if profile.ends is None else profile.ends.tolist()
    return {"shares": profile.shares.tolist(), "low": low, "high": high}


def _tolerance(tolerance: Tolerance | None) -> dict[str, Any]:
    return {
        **_interval(tolerance.interval if tolerance else None),
        "share": SHARE,
        "confidence": LEVEL,
        "any_shape": tolerance.any_shape if tolerance else None,
        "seeds_for_any_shape": seeds_for_any_shape(),
    }


def _interval(interval: Interval | None) -> dict[str, float | None]:
    return {"low": interval.low, "high": interval.high} if interval else {"low": None, "high": None}


def _outcomes(outcomes: Outcomes) -> dict[str, Any]:
    return {
        "items": outcomes.items,
        "successes": outcomes.successes,
        "success_rate": outcomes.success_rate,
        "outcomes": dict(outcomes.ends),
    }
