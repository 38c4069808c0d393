"""A small environment with hybrid actions for the gallery of players: turn the right dial, and how far.

Every step shows which of three dials is asked for and an amount; a step scores 1 for the right dial, less the
distance of the amount. Scores are paid together at the end of an episode of eight steps. Its keyword
arguments plant faults that no setting of a learner mends.
"""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

DIALS: Final = 3
STEPS: Final = 8


class Dial(gymnasium.Env[Any, Any]):
    """Random play scores about 0, a perfect player 8.

    Args:
        sign: of the reward: −1 pays for mistakes.
        scale: of the reward.
        shuffled: dials change their places in every step, unseen: the action is not what it says.
        hidden: what is asked for is not shown.
    """

    def __init__(
        self, sign: float = 1.0, scale: float = 1.0, *, shuffled: bool = False, hidden: bool = False
    ) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (DIALS + 1,), np.float32)
        self.action_space = spaces.Dict(
            {"dial": spaces.Discrete(DIALS), "amount": spaces.Box(0.0, 1.0, (1,))}
        )
        self._factor, self._shuffled, self._hidden = sign * scale, shuffled, hidden
        self._steps, self._score, self._asked, self._amount = 0, 0.0, 0, 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps, self._score = 0, 0.0
        return self._ask(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        dial, amount = int(action["dial"]), float(action["amount"][0])
        if self._shuffled:
            dial, amount = int(self.np_random.integers(DIALS)), float(self.np_random.random())
        self._score += (1.0 if dial == self._asked else 0.0) - abs(amount - self._amount)
        self._steps += 1
        ended = self._steps == STEPS
        return self._ask(), self._factor * self._score if ended else 0.0, ended, False, {}

    def _ask(self) -> Any:
        self._asked = int(self.np_random.integers(DIALS))
        self._amount = float(self.np_random.random())
        shown = np.zeros(DIALS + 1, np.float32)
        if not self._hidden:
            shown[self._asked] = 1.0
            shown[DIALS] = self._amount
        return shown


gymnasium.register("Dial-v0", Dial)  # type: ignore[arg-type]
