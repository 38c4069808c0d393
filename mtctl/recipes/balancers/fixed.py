"""Fixed weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from mtctl.part import Misfit, NonNegativeFloat
from mtctl.recipes.balancers.method import MethodPart


class Equal(MethodPart):
    """Every task's loss has weight 1: the plain sum."""

    kind: Literal["equal"]


class Manual(MethodPart):
    """Fixed weights, given by task name."""

    kind: Literal["manual"]
    weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)]
    """Weight of each task; 0 trains on without it."""

    def misfits(self) -> Iterator[Misfit]:
        if not any(self.weights.values()):
            yield Misfit(("weights",), "every weight is 0, so that nothing would be learned")

    def per_task_values(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        yield "weights", self.weights


FixedMethod = Equal | Manual
