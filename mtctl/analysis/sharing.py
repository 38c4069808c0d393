"""How a method's tasks shared their network: how often gradients conflicted, and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtctl.history.summary import TrainingSummary
from mtctl.statistics import mean_of


@dataclass(frozen=True, slots=True)
class Sharing:
    """A method's sharing: means over its runs.

    Args:
        conflict_rate: share of measured pairs of tasks whose gradients opposed each other, over all updates;
            None if none was measured.
        first: each task's mean weight over the first tenth of training; without a task that had none.
        last: over the last tenth.
    """

    conflict_rate: float | None
    first: Mapping[str, float]
    last: Mapping[str, float]


def sharing(trainings: Sequence[TrainingSummary], tasks: Sequence[str]) -> Sharing:
    """Return how the tasks of a method's runs shared."""
    rates = [training.conflict_rate for training in trainings if training.conflict_rate is not None]
    return Sharing(
        conflict_rate=mean_of(rates) if rates else None,
        first=_means([training.first for training in trainings], tasks),
        last=_means([training.last for training in trainings], tasks),
    )


def _means(weights: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> dict[str, float]:
    columns = {task: [each[task] for each in weights if task in each] for task in tasks}
    return {task: mean_of(values) for task, values in columns.items() if values}
