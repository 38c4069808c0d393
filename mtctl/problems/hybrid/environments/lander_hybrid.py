"""LunarLander with a choice of engine and a throttle: which engine fires, and how strongly.

The world and the rewards are those of gymnasium's LunarLanderContinuous-v3, in which an engine that fires
has a power from 0.5 to 1. Here engine 0 is none, 1 left, 2 main, 3 right, as in the discrete LunarLander,
and the engine fires with power (1 + throttle) / 2; at throttle 0 it is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.box2d.lunar_lander import LunarLander

from mtctl.problems.hybrid.environments.copies import Observations
from mtctl.problems.hybrid.uses import Uses

# Endings are called what they are called for the discrete lander.
from mtctl.problems.lander.environments import outcome
from mtctl.problems.lander.tasks import OUTCOMES, SOLVED, TASKS

NONE, LEFT, MAIN, RIGHT = range(4)
USES: Final[Uses] = {"engine": {LEFT: ("throttle",), MAIN: ("throttle",), RIGHT: ("throttle",)}}
STEPS: Final = TASKS["standard"].time_limit


class HybridLander(gymnasium.Env[Observations, Mapping[str, Any]]):
    """One lander; `info` holds `outcome` and `success`, a landing, at the end of an episode.

    Args:
        render_mode: None, "human" or "rgb_array".

    Attributes:
        uses: which parameters a choice uses, see `uses.Uses`.
        outcomes: names of how an episode can end; `timed_out`, after 1000 steps, is a truncation.
        solved: mean return from which gymnasium calls the environment solved.
    """

    metadata = LunarLander.metadata
    uses = USES
    outcomes = OUTCOMES
    solved = SOLVED

    def __init__(self, render_mode: str | None = None) -> None:
        self._world = LunarLander(render_mode=render_mode, continuous=True)
        self.render_mode = render_mode
        self.observation_space = self._world.observation_space
        self.action_space = spaces.Dict({"engine": spaces.Discrete(4), "throttle": spaces.Box(0, 1, (1,))})
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode; without a seed, the next one of the environment's own generator."""
        super().reset(seed=seed)
        self._steps = 0
        observation: Observations = self._world.reset(seed=int(self.np_random.integers(2**31)))[0]
        return observation, {}

    def step(self, action: Mapping[str, Any]) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Return observation [8], reward, terminated, truncated, info."""
        self._steps += 1
        engines = continuous_action(int(action["engine"]), float(action["throttle"][0]))
        observation, reward, terminated, _, _ = self._world.step(engines)
        truncated = not terminated and self._steps >= STEPS
        info: dict[str, Any] = {}
        if terminated or truncated:
            info["outcome"] = outcome(terminated, float(reward))
            info["success"] = info["outcome"] == "landed"
        return observation, float(reward), terminated, truncated, info

    def render(self) -> Any:
        """Return or show a frame, as `render_mode` says."""
        return self._world.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        self._world.close()


def continuous_action(engine: int, throttle: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the action of LunarLanderContinuous [2], main and side, that an engine and a throttle mean.

    There the main engine is off up to a = 0 and has power (1 + a) / 2 above. The side engines are off up to
    |a| = 0.5 and have power |a| above; the left one is that of negative a.
    """
    power = (1.0 + throttle) / 2.0 if throttle > 0.0 else 0.0
    main = throttle if engine == MAIN else 0.0
    side = power * ((engine == RIGHT) - (engine == LEFT))
    return np.array([main, side], np.float32)
