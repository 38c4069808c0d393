"""Moving: the agent moves along its heading, so that turning changes its course at once."""

from __future__ import annotations

import numpy as np

from mtctl.problems.hybrid.environments.copies import Floats, Integers
from mtctl.problems.hybrid.environments.field import BRAKE, BRAKING, Field
from mtctl.problems.hybrid.environments.single import Single


class Moving(Field):
    """Copies of Moving; `field` has the rules. A random policy's mean return is −1.29.

    Args:
        copies: N.
        truncates: report the end after 200 steps as a truncation, see `field.Field`.
    """

    name = "moving"

    def __init__(self, copies: int, *, truncates: bool = False) -> None:
        super().__init__(copies, truncates=truncates, velocity_angle=False)

    def _steer(self, choice: Integers, acceleration: Floats, turn: Floats) -> None:
        self._heading += turn
        self._heading %= 2.0 * np.pi
        np.cos(self._heading, out=self._cos)
        np.sin(self._heading, out=self._sin)
        self._speed += acceleration - BRAKING * (choice == BRAKE)
        np.maximum(self._speed, 0.0, out=self._speed)


def single(*, truncates: bool = False) -> Single:
    """Return Moving as an environment of gymnasium: `gymnasium.make("mtctl/Moving-v0")`."""
    return Single(Moving(1, truncates=truncates))
