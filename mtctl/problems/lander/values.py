"""What a Q-network's outputs mean, and what it learns from: one number per action, or see categorical.py.

For a row (o, a, R, o', β), see dqn.py:

    target  y = R + β · Q⁻(o', a*) − α · gap,   a* the next action, gap = max_b Q⁻(o, b) − Q⁻(o, a)
    loss    (Q(o, a) − y)², or Huber
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, Protocol

import torch
from torch import Tensor


class Lesson(NamedTuple):
    """What a batch's rows teach.

    Args:
        losses: [N].
        errors: [N] what priorities follow: the size of a row's surprise.
        slopes: [N, width] derivative of each loss with respect to the outputs of the action taken.
    """

    losses: Tensor
    errors: Tensor
    slopes: Tensor


class Targets(NamedTuple):
    """What the outputs of the actions taken should be.

    Args:
        numbers: [N], or distributions [N, width].
        clipped: [N] which part of each row's return lies beyond what the outputs can stand for; None: they
            can stand for any.
    """

    numbers: Tensor
    clipped: Tensor | None = None


class Values(Protocol):
    """How numbers per action stand for returns.

    Attributes:
        width: outputs per action.
    """

    width: int

    def greedy(self, outputs: Tensor) -> int:
        """Return the best action by one observation's outputs [actions · width]."""

    def expected(self, outputs: Tensor) -> Tensor:
        """Return Q [N, actions] of outputs [N, actions · width]."""

    def targets(
        self, rewards: Tensor, bootstraps: Tensor, following: Tensor, best: Tensor, gaps: Tensor | None
    ) -> Targets:
        """Return what the outputs of the actions taken should be.

        Args:
            rewards: [N] R, scaled.
            bootstraps: [N] β.
            following: [N, actions · width] the target network's outputs at o'.
            best: [N, 1] a*.
            gaps: [N]; None: without advantage learning.
        """

    def lesson(self, outputs: Tensor, actions: Tensor, targets: Tensor) -> Lesson:
        """Return the losses of outputs [N, actions · width] at the actions taken [N, 1].

        Args:
            outputs: of the network that learns.
            actions: taken.
            targets: `Targets.numbers`.
        """


class ScalarValues:
    """One number per action: its expected return.

    Args:
        loss: of the temporal-difference error.
        delta: where a Huber loss turns linear.
        alpha: of advantage learning.
    """

    width = 1

    def __init__(self, loss: Literal["mse", "huber"], delta: float, alpha: float) -> None:
        self._alpha = alpha
        self._squared = loss == "mse"
        self._delta = min(delta, torch.finfo(torch.float32).max)

    def greedy(self, outputs: Tensor) -> int:
        values: list[float] = outputs.tolist()
        return values.index(max(values))

    def expected(self, outputs: Tensor) -> Tensor:
        return outputs

    def targets(
        self, rewards: Tensor, bootstraps: Tensor, following: Tensor, best: Tensor, gaps: Tensor | None
    ) -> Targets:
        targets = torch.addcmul(rewards, bootstraps, following.gather(1, best).squeeze(1))
        return Targets(targets if gaps is None else targets.sub_(gaps, alpha=self._alpha))

    def lesson(self, outputs: Tensor, actions: Tensor, targets: Tensor) -> Lesson:
        error = outputs.gather(1, actions).squeeze(1).sub_(targets)
        if self._squared:
            return Lesson(error.square(), error, error.mul(2.0).unsqueeze(1))
        slope = error.clamp(-self._delta, self._delta)
        return Lesson(slope * (error - 0.5 * slope), error, slope.unsqueeze(1))


SCALAR: Final = ScalarValues("mse", delta=1.0, alpha=0.0)
"""What a network has that is not learned from."""
