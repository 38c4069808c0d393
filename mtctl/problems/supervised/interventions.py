"""What a diagnosis may change about a supervised problem: values that its recipe turns into settings.

Counterfactuals and remedies are lists of them, the same for every problem; see `SupervisedRecipe.changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Only:
    """Train these tasks; data, initial weights and the other tasks' heads stay as they are."""

    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Balanced:
    """Balance by a method: its kind, and its settings as recipes write them."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standardised:
    """Let tasks answer c + s·output: c their best constant, s their targets' standard deviation."""

    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """Multiply all learning rates."""

    factor: float


@dataclass(frozen=True, slots=True)
class HeadRate:
    """Multiply the learning rate of one task's own parameters, in place of a factor that is there."""

    task: str
    factor: float


@dataclass(frozen=True, slots=True)
class LossFactor:
    """Multiply one task's loss before the tasks are balanced."""

    task: str
    factor: float


@dataclass(frozen=True, slots=True)
class NoDropout:
    """Drop nothing."""


@dataclass(frozen=True, slots=True)
class NoDecay:
    """Let the optimizer decay no weight."""


@dataclass(frozen=True, slots=True)
class HeadDecay:
    """Let the weights of one task's own parameters decay by this much."""

    task: str
    decay: float


@dataclass(frozen=True, slots=True)
class Clipped:
    """Clip the combined gradient to this Euclidean norm; None: not at all."""

    norm: float | None


@dataclass(frozen=True, slots=True)
class Adam:
    """Train everything by Adam at one learning rate."""

    lr: float


@dataclass(frozen=True, slots=True)
class FewRows:
    """Train on the first so many rows only, all of them in every batch."""

    count: int


@dataclass(frozen=True, slots=True)
class Shifted:
    """Give row i of every split the target of row i + `rows`, for one task."""

    task: str
    rows: int


@dataclass(frozen=True, slots=True)
class Setting:
    """Change a setting that only this problem has, by its dotted key."""

    key: str
    value: Any


Intervention = (
    Only
    | Balanced
    | Standardised
    | Rate
    | HeadRate
    | LossFactor
    | NoDropout
    | NoDecay
    | HeadDecay
    | Clipped
    | Adam
    | FewRows
    | Shifted
    | Setting
)

RAW = Balanced("equal")
"""The plain sum of the losses."""
