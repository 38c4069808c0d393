"""One copy as an ordinary gymnasium environment."""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np

from mtctl.problems.hybrid.environments.copies import RUNNING, Copies, Observations
from mtctl.problems.hybrid.uses import Uses

_METADATA: Final[dict[str, Any]] = {"render_modes": []}


class Single(gymnasium.Env[Any, Any]):
    """A `Copies` of one copy behind gymnasium's interface.

    `info` holds, at the end of an episode, `success` and `outcome`; and `active`, where the environment says
    which parts of an action mean something, in every step.

    Args:
        copies: of which there is one.

    Attributes:
        uses: which parameters a choice uses, see `uses.Uses`.
        outcomes: names of how an episode can end.
    """

    metadata = _METADATA

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._running = False
        self.observation_space = copies.observation_space
        self.action_space = copies.action_space
        self.uses: Uses = copies.uses
        self.outcomes = copies.outcomes

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode; without a seed, the next one of the environment's own generator."""
        super().reset(seed=seed)
        observations = self._copies.reset([self.np_random.integers(2**63)])
        self._running = True
        return observations[0].copy(), self._info()

    def step(self, action: Any) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Return observation, reward, terminated, truncated, info."""
        if not self._running:
            raise gymnasium.error.ResetNeeded("the episode has ended, or none has begun: call reset first")
        _, rewards, terminated, truncated = self._copies.step(_stacked(action))
        self._running = not self._copies.ended[0]
        observation = self._copies.final_observations[0].copy()
        return observation, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), self._info()

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {}
        if self._running and self._copies.active:
            info["active"] = {path: mask[0].copy() for path, mask in self._copies.active.items()}
        if (outcome := int(self._copies.outcome[0])) != RUNNING:
            info["outcome"] = self.outcomes[outcome]
            info["success"] = bool(self._copies.success[0])
        return info


def _stacked(action: Any) -> Any:
    """Return an action with a leading dimension of one."""
    if isinstance(action, dict):
        return {key: _stacked(value) for key, value in action.items()}
    if isinstance(action, tuple):
        return tuple(_stacked(value) for value in action)
    return np.asarray(action)[None]
