"""What rewards are multiplied with before they are learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from mtctl.problems.lander.agents import FixedScale, ReturnScale


class RewardFactors:
    """A factor for each task's rewards, fixed or from the returns that it has shown.

    Rewards are kept as they were, and scaled when they are learned from: all of replay follows a new factor.

    Args:
        scale: the recipe's.
        tasks: T.
        gamma: discount factor per environment step.
    """

    def __init__(self, scale: FixedScale | ReturnScale, tasks: int, gamma: float) -> None:
        self._scale = scale
        self._gamma = gamma
        self._largest: list[float | None] = [None] * tasks
        factor = scale.factor if isinstance(scale, FixedScale) else 1.0
        self._factors = torch.full((tasks,), factor)

    @property
    def factors(self) -> Tensor | None:
        """[T] float32; None where rewards stay as they are."""
        fixed_at_one = isinstance(self._scale, FixedScale) and self._scale.factor == 1
        return None if fixed_at_one else self._factors

    @property
    def follows_returns(self) -> bool:
        """Whether it wants to see what episodes paid."""
        return isinstance(self._scale, ReturnScale)

    def ready(self, task: int | None = None) -> bool:
        """Whether the factors of all tasks (or that of `task`) are known."""
        wanted = self._largest if task is None else [self._largest[task]]
        return not self.follows_returns or all(largest is not None for largest in wanted)

    def see(self, task: int, rewards: Sequence[float]) -> None:
        """Look at a training episode's rewards, one per step, once it has ended."""
        found = max(abs(discounted) for discounted in _returns(rewards, self._gamma))
        self._set(task, max(found, self._largest[task] or 0.0))

    def _set(self, task: int, largest: float) -> None:
        self._largest[task] = largest
        if isinstance(self._scale, ReturnScale) and largest > 0:
            self._factors[task] = self._scale.largest / largest

    def state_dict(self) -> list[float | None]:
        return list(self._largest)

    def load_state_dict(self, state: Iterable[float | None]) -> None:
        for task, largest in enumerate(state):
            if largest is not None:
                self._set(task, largest)


def _returns(rewards: Sequence[float], gamma: float) -> Iterable[float]:
    """Yield the discounted return from each step on, the last step first."""
    discounted = 0.0
    for reward in reversed(rewards):
        discounted = reward + gamma * discounted
        yield discounted
