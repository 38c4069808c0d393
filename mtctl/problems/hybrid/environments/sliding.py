"""Sliding: the agent keeps its velocity, to which accelerating adds a vector along its heading."""

from __future__ import annotations

import numpy as np

from mtctl.problems.hybrid.environments.copies import Floats, Integers
from mtctl.problems.hybrid.environments.field import BRAKE, BRAKING, Field
from mtctl.problems.hybrid.environments.single import Single


class Sliding(Field):
    """Copies of Sliding; `field` has the rules. A random policy's mean return is −1.22.

    Args:
        copies: N.
        truncates: report the end after 200 steps as a truncation, see `field.Field`.
        velocity_angle: append cos and sin of the velocity's direction, that of the heading while at rest, to
            the observation, which has then 12 numbers. The published 10 hide where the agent is sliding, so
            that no policy without memory can know. Returns of given actions do not depend on it, and no
            learner's are published for Sliding.
    """

    name = "sliding"

    def __init__(self, copies: int, *, truncates: bool = False, velocity_angle: bool = True) -> None:
        super().__init__(copies, truncates=truncates, velocity_angle=velocity_angle)

    def _steer(self, choice: Integers, acceleration: Floats, turn: Floats) -> None:
        self._heading += turn
        self._heading %= 2.0 * np.pi
        ahead, aside = np.cos(self._heading), np.sin(self._heading)
        x = self._speed * self._cos + acceleration * ahead
        y = self._speed * self._sin + acceleration * aside
        pushed = acceleration > 0.0
        speed = np.where(pushed, np.hypot(x, y), self._speed)
        pushed &= speed > 0.0
        np.divide(x, speed, out=self._cos, where=pushed)
        np.divide(y, speed, out=self._sin, where=pushed)
        np.maximum(speed - BRAKING * (choice == BRAKE), 0.0, out=self._speed)
        resting = self._speed == 0.0
        np.copyto(self._cos, ahead, where=resting)
        np.copyto(self._sin, aside, where=resting)


def single(*, truncates: bool = False, velocity_angle: bool = True) -> Single:
    """Return Sliding as an environment of gymnasium: `gymnasium.make("mtctl/Sliding-v0")`."""
    return Single(Sliding(1, truncates=truncates, velocity_angle=velocity_angle))
