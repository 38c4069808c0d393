"""What the recipes of all balancing methods have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from mtctl.part import Misfit, NonNegativeFloat, Part, PositiveInt

Space = Literal["last_shared", "all_shared", "features"]
"""Where gradients are measured: on the last layer that all tasks share, on everything that they share, or on
what the heads read: the last shared layer's output instead of its parameters."""

Momentum = Annotated[float, Field(ge=0, lt=1)]
"""Of an exponential moving average: the part of the old value that a step keeps."""


class MethodPart(Part):
    """One balancing method; `kind` selects it."""

    kind: str

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Yield the name and the values of every key that gives one value for each task, by task name."""
        yield from ()


class AdaptiveMethod(MethodPart):
    """A method whose weights change from step to step."""

    every: PositiveInt = 1
    """Steps that share one set of weights: the method looks at every k-th step only, which spares the
    backward passes that it needs, and its windows and averages count those."""


class WeightedMethod(AdaptiveMethod):
    """An adaptive method on top of weights that are given by hand."""

    base_weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)] | None = None
    """How much each task counts, by name; null: 1 each. 0 trains on without it."""

    def misfits(self) -> Iterator[Misfit]:
        if self.base_weights is not None and not any(self.base_weights.values()):
            yield Misfit(("base_weights",), "every weight is 0, so that nothing would be learned")

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        if self.base_weights is not None:
            yield "base_weights", self.base_weights
