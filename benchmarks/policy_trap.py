"""An environment that pays at once and takes everything back at the end, for the gallery of policies."""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

STEPS: Final = 20


class Trap(gymnasium.Env[Any, Any]):
    """Taking pays 1, and the last of 20 steps costs as much as was taken: every policy's return is noise.

    Whoever discounts much sees the pay alone.

    Args:
        locked: how many of the two amounts no action ever uses.
    """

    uses: Final = {"do": {1: ("amount",)}}

    def __init__(self, locked: int = 0) -> None:
        self._active = {"amount": np.arange(2) < 2 - locked}
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Dict({"do": spaces.Discrete(2), "amount": spaces.Box(0.0, 1.0, (2,))})
        self._steps = self._taken = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = self._taken = 0
        return self._seen(), {"active": self._active}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        take = int(action["do"])
        self._steps += 1
        self._taken += take
        ended = self._steps == STEPS
        reward = take + 0.5 * float(self.np_random.standard_normal()) - (self._taken if ended else 0)
        return self._seen(), reward, ended, False, {"active": self._active}

    def _seen(self) -> Any:
        return self.np_random.random(2, np.float32)


gymnasium.register("Trap-v0", Trap)  # type: ignore[arg-type]
