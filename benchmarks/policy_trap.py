"""An environment that pays at once and takes everything back later, for the gallery of policies."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

STEPS: Final = 20
LATER: Final = 3


class Trap(gymnasium.Env[Any, Any]):
    """Taking pays 1 and costs 1 three steps later, or at the end: every policy's return is noise.

    Whoever discounts much sees the pay alone.

    Args:
        locked: how many of the two amounts no action ever uses.
    """

    uses: Final = {"do": {1: ("amount",)}}

    def __init__(self, locked: int = 0) -> None:
        self._active = {"amount": np.arange(2) < 2 - locked}
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Dict({"do": spaces.Discrete(2), "amount": spaces.Box(0.0, 1.0, (2,))})
        self._steps, self._taken = 0, deque([0] * LATER)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps, self._taken = 0, deque([0] * LATER)
        return self._seen(), {"active": self._active}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        take = int(action["do"])
        self._steps += 1
        self._taken.append(take)
        ended = self._steps == STEPS
        cost = self._taken.popleft() + (sum(self._taken) if ended else 0)
        reward = take - cost + 0.5 * float(self.np_random.standard_normal())
        return self._seen(), reward, ended, False, {"active": self._active}

    def _seen(self) -> Any:
        return self.np_random.random(2, np.float32)


gymnasium.register("Trap-v0", Trap)  # type: ignore[arg-type]
