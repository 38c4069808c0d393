"""Fixed weights: the plain sum of losses, and weights given by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mtctl.balancing.contract import Array, Balancer, Signals, State


@dataclass(frozen=True)
class Equal(Balancer):
    """The plain sum of losses.

        wᵢ = 1

    A sum, not a mean: the step is T times as long as with the mean of the losses.

    Helps: as what every other method has to beat, and where losses are on one scale and tasks agree.

    Fails: where scales differ: the task with the longest gradient has the shared network to itself.
    """

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        return signals.active.astype(np.float64), state


@dataclass(frozen=True)
class Manual(Balancer):
    """Weights given by hand.

        wᵢ = weightsᵢ

    Helps: where it is known what each task is worth, and the losses' scales stay what they are.

    Fails: where scales drift during training. T tasks have T − 1 numbers to be searched, each by a training.

    Args:
        weights: one for each task, in the order of the tasks; used as they are, not normalised.

    Raises:
        ValueError: the number of weights is not the number of tasks.
    """

    weights: tuple[float, ...]

    def init(self, tasks: int) -> State:
        if len(self.weights) != tasks:
            raise ValueError(f"weights: expected one for each of {tasks} tasks, found {len(self.weights)}")
        return {}

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Array, State]:
        return np.array(self.weights) * signals.active, state
