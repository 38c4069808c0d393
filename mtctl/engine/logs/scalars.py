"""A record as the scalars that other tools show: one way, for logs that are written live and for exports.

    train/<figure>/<task>      what units recorded of a task: return, steps, loss (in original units, where
                               records have them), and further signals by their names
    train/<figure>             of the unit as a whole: epsilon; its number, and the updates so far
    eval/<figure>/<task>       evaluations during training: the score by its name, success_rate, steps,
                               further measures
    eval/average               the mean over tasks of the scores
    weights/shared/<task>      the methods' weights on the shared network
    weights/own/<task>         ∂total/∂loss as a task's own parameters see it
    gradients/<figure>/<task>  norm, share, own_norm; cosine and cosine_sd of pairs of tasks, "a|b"
    gradients/conflict_rate    share of pairs whose gradients oppose each other

The x axis counts environment steps where something is played, and updates elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

_TAGS: Final = {
    "weight": "weights/shared",
    "own_weight": "weights/own",
    "gradient_norm": "gradients/norm",
    "gradient_share": "gradients/share",
    "own_gradient_norm": "gradients/own_norm",
    "cosine": "gradients/cosine",
    "cosine_sd": "gradients/cosine_sd",
    "conflict_rate": "gradients/conflict_rate",
}
"""Where signals go; others go to `train/`, by their names."""
_COUNTS: Final = frozenset({"updates", "measured"})
"""Signals that only say what the others are means over."""
_EVALUATED: Final = ("success_rate", "steps")


class Point(NamedTuple):
    """Scalars by tag, at one place of the x axis."""

    step: int
    scalars: dict[str, float]


@dataclass(frozen=True, slots=True)
class Names:
    """What a run calls things.

    Args:
        unit: "episode", "epoch", …
        score: what its evaluations measure.
    """

    unit: str
    score: str

    def point(self, record: Mapping[str, Any]) -> Point:
        """Return the scalars of a line of metrics.jsonl; what is text or null there has none."""
        steps = record.get("environment_steps")
        scalars = self._evaluated(record) if record["kind"] == "evaluation" else self._trained(record)
        step = record["updates"] if steps is None else steps
        return Point(step, {tag: float(value) for tag, value in scalars.items()})

    def _trained(self, record: Mapping[str, Any]) -> dict[str, float]:
        found = {f"train/{self.unit}": record["unit"], "train/updates": record["updates"]}
        for task, figures in record["tasks"].items():
            numbers = {name: figure for name, figure in figures.items() if not isinstance(figure, str)}
            found |= {f"train/{name}/{task}": figure for name, figure in numbers.items()}
        found |= {f"train/{name}": figure for name, figure in record["extra"].items()}
        for name, values in (record["signals"] or {}).items():
            if name in _COUNTS:
                continue
            tag = _TAGS.get(name, f"train/{name}")
            by_key = values if isinstance(values, dict) else {"": values}
            for key, value in by_key.items():
                if value is not None:
                    # The loss that a method saw stands behind the one in original units.
                    found.setdefault(f"{tag}/{key}" if key else tag, value)
        return found

    def _evaluated(self, record: Mapping[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        for task, means in record["tasks"].items():
            figures = {**means["measures"], **{name: means[name] for name in _EVALUATED}}
            figures[self.score] = means["mean"]
            found |= {f"eval/{name}/{task}": figure for name, figure in figures.items() if figure is not None}
        return found | {"eval/average": record["average"]}
