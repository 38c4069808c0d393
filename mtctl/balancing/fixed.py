"""Fixed weights: the plain sum of losses, and weights given by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mtctl.balancing._by_task import array
from mtctl.balancing.contract import Array, Method, Random, Signals, State
from mtctl.part import Misfit, NonNegativeFloat


class Equal(Method):
    """Every task's loss has weight 1: the plain sum.

        wᵢ = 1

    A sum, not a mean: the step is T times as long as with the mean of the losses.

    Helps: as the baseline of every other method, and where losses are on one scale and tasks agree.

    Fails: where scales differ: the task with the longest gradient dominates the shared network.
    """

    kind: Literal["equal"] = "equal"

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        return signals.active.astype(np.float64), state


class Manual(Method):
    """Fixed weights, given by task name.

        wᵢ = weightsᵢ

    Helps: where it is known what each task is worth, and the losses' scales stay what they are.

    Fails: where scales drift during training. T tasks have T − 1 weights to tune, each by trainings.
    """

    kind: Literal["manual"] = "manual"
    weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)]
    """Weight of each task, used as it is; 0 trains on without it."""

    def misfits(self) -> Iterator[Misfit]:
        if not any(self.weights.values()):
            yield Misfit(("weights",), "every weight is 0, so nothing would be learned")

    def weigh(self, signals: Signals, state: State, rng: Random) -> tuple[Array, State]:
        return array(self.weights, signals.tasks) * signals.active, state
