"""Settings that are given task by task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from mtctl.balancing.contract import AdaptiveMethod, Array
from mtctl.part import FiniteFloat, Misfit, NonNegativeFloat, PositiveInt


def array(values: Mapping[str, float] | None, tasks: tuple[str, ...], otherwise: float = 1.0) -> Array:
    """Return the values in the order of `tasks` as [T], or `otherwise` as [1] where none are given."""
    given = (otherwise,) if values is None else [values[task] for task in tasks]
    return np.array(given, dtype=np.float64)


class WeightedMethod(AdaptiveMethod):
    """An adaptive method on top of weights that are given by hand."""

    base_weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)] | None = None
    """How much each task counts, by name; null: 1 each. 0 trains on without it."""

    def misfits(self) -> Iterator[Misfit]:
        if self.base_weights is not None and not any(self.base_weights.values()):
            yield Misfit(("base_weights",), "every weight is 0, so nothing would be learned")


class SizedMethod(WeightedMethod):
    """Base weights that may also count how many output elements a task has."""

    sizes: Annotated[dict[str, PositiveInt], Field(min_length=1)] | None = None
    """Output elements d of each task, by name; used with a `size_exponent` only."""
    size_exponent: FiniteFloat = 0.0
    """Each weight is multiplied by d to this power; 0.5: √d. A manual weight: the scale of the loss, and with
    it what a mean over d elements did to it, is divided out anyway."""

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.size_exponent and self.sizes is None:
            yield Misfit(("size_exponent",), "`size_exponent` needs `sizes`: output elements by task name")
        if self.sizes is not None and not self.size_exponent:
            yield Misfit(("sizes",), "`sizes` count with a `size_exponent` only, such as 0.5")

    def importance(self, tasks: tuple[str, ...]) -> Array:
        """Return bᵢ·dᵢ^p as [T], or as [1] where all are the same."""
        return array(self.base_weights, tasks) * array(self.sizes, tasks) ** self.size_exponent
