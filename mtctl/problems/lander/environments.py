"""The LunarLander tasks' environments, and the seeds that episodes start from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from mtctl.errors import MtctlError
from mtctl.problems.lander.tasks import TASKS, TaskDefinition

if TYPE_CHECKING:
    from gymnasium.envs.box2d.lunar_lander import LunarLander

Observation = npt.NDArray[np.float32]
MIRRORED_ORDER: Final = (0, 1, 2, 3, 4, 5, 7, 6)
MIRRORED_SIGNS: Final = (-1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, 1.0)
"""The world has no left or right: what happens to an observation o under action a happens, mirrored, to
`o[MIRRORED_ORDER] * MIRRORED_SIGNS` under action (4 − a) mod 4, for the same reward and as likely."""

# First words of the seed sequences; the lists are disjoint by construction.
_TRAINING, _MONITOR, _HELD_OUT = 1, 2, 3


def training_seed(run_seed: int, task: str, episode: int) -> int:
    """Return the reset seed of a run's `episode`-th training episode on `task`."""
    return _seed(_TRAINING, run_seed, task, episode)


def evaluation_seed(seed_list: str, task: str, index: int) -> int:
    """Return the `index`-th seed of the `monitor` or `held_out` list: the same for every run and method."""
    return _seed({"monitor": _MONITOR, "held_out": _HELD_OUT}[seed_list], 0, task, index)


def _seed(stream: int, run_seed: int, task: str, index: int) -> int:
    place = tuple(TASKS).index(task)
    return int(np.random.SeedSequence((stream, run_seed, place, index)).generate_state(1)[0])


def definition(tasks: tuple[str, ...]) -> dict[str, Any]:
    """Return what decides whether two runs' scores may be compared."""
    return {
        "environment": "gymnasium LunarLander, discrete",
        "tasks": {task: asdict(TASKS[task]) for task in tasks},
        "policy": "greedy",
        "seed_list": "v1",
    }


def make(task: str, render_mode: str | None = None) -> Environment:
    """Return a fresh environment of `task`; rendering only where asked for, so that training never pays for
    it.

    Raises:
        MtctlError: if Box2D is not installed.
    """
    from gymnasium.error import DependencyNotInstalled  # noqa: PLC0415 - needed by this task alone

    rules = TASKS[task]
    try:
        from gymnasium.envs.box2d.lunar_lander import LunarLander  # noqa: PLC0415 - fails without Box2D
    except (ImportError, DependencyNotInstalled) as error:
        raise MtctlError(
            "the lander tasks need Box2D, which is not installed for this Python and platform",
            hint='pip install "box2d>=2.3.10" (CPython 3.11 to 3.13 on Linux x86-64, macOS and Windows)',
        ) from error
    world = LunarLander(
        render_mode=render_mode,
        enable_wind=rules.wind_power > 0 or rules.turbulence_power > 0,
        wind_power=rules.wind_power,
        turbulence_power=rules.turbulence_power,
    )
    return Environment(world, rules)


class Environment:
    """One task's environment: `reset(seed)` and `step(action)` without wrappers or checks.

    Attributes:
        world: gymnasium's LunarLander underneath.
        time_limit: steps until truncation.
    """

    def __init__(self, world: LunarLander, rules: TaskDefinition) -> None:
        self.world = world
        self.time_limit = rules.time_limit
        self._gravity = rules.gravity
        self._hull_noise = rules.hull_noise
        self._steps = 0

    def reset(self, seed: int) -> Observation:
        """Start the episode that `seed` decides; return its first observation [8] float32."""
        observation: Observation = self.world.reset(seed=seed)[0]
        if self._gravity != self.world.gravity:
            self.world.world.gravity = (0.0, self._gravity)
        self._steps = 0
        return observation

    def step(self, action: int) -> tuple[Observation, float, bool, bool]:
        """Return observation [8], reward, terminated, truncated."""
        if self._hull_noise:
            force = self.world.np_random.uniform(-self._hull_noise, self._hull_noise)
            self._hull().ApplyForceToCenter((float(force), 0.0), True)
        observation, reward, terminated, _, _ = self.world.step(action)
        self._steps += 1
        return observation, float(reward), terminated, not terminated and self._steps >= self.time_limit

    def _hull(self) -> Any:
        return self.world.lander

    def close(self) -> None:
        self.world.close()


def outcome(terminated: bool, last_reward: float) -> str:
    """Name how an episode ended, from its last step: +100 is paid for a landing only."""
    if not terminated:
        return "timed_out"
    return "landed" if last_reward > 0 else "crashed"
