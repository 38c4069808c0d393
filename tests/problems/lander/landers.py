"""Landers to test with: small ones, and ones that play scripted episodes instead of Box2D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from mtctl.problems.lander import environments
from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.dqn import ReplayGradients
from mtctl.problems.lander.problem import Lander
from mtctl.problems.lander.recipe import LanderProblem

TASKS = ("standard", "windy", "heavy")
ONES = torch.ones(3, dtype=torch.float64)
ENCODINGS = ("none", "raw_id", "onehot", "embedding")
SMALL = (16, 8)


def lander(
    *,
    seed: int = 0,
    tasks: Sequence[str] = TASKS,
    episodes: int = 1000,
    averaging: float | None = None,
    **agent: Any,
) -> Lander:
    """Return a lander; `agent` in the words of a recipe."""
    problem = LanderProblem.model_validate(
        {"kind": "lander", "tasks": list(tasks), "episodes_per_task": episodes}
    )
    return Lander(problem, DQNAgent.model_validate({"kind": "dqn", **agent}), seed, averaging=averaging)


def independent(**agent: Any) -> dict[str, Any]:
    return {"network": "independent", **agent}


def fill(problem: Lander, rows: int, *, tasks: Sequence[int] | None = None, seed: int = 0) -> None:
    """Put made-up transitions into replay: `rows` of each of the tasks, whose gradients then differ."""
    rng = np.random.default_rng(seed)
    for _ in range(rows):
        for task in range(len(problem.tasks)) if tasks is None else tasks:
            observation, following = rng.normal(task, 1.0, (2, 8)).astype(np.float32)
            bootstrap = float(rng.choice([0.0, 0.99]))
            problem.replay.add(
                task, observation, int(rng.integers(4)), float(rng.normal(0, 5)), following, bootstrap
            )


def learn(problem: Lander, weights: torch.Tensor | None = None) -> ReplayGradients | None:
    """Advance by one step and follow it with an update where one is due, all weights 1."""
    problem.advance()
    gradients = problem.gradients()
    if gradients is not None:
        weights = torch.ones(len(problem.tasks), dtype=torch.float64) if weights is None else weights
        gradients.combine(weights, weights)
        problem.update()
    return gradients


@dataclass
class Script:
    """What every episode of a scripted environment is.

    Args:
        rewards: one per step.
        terminated: how it ends: by termination, or by its time limit.
    """

    rewards: tuple[float, ...] = (1.0,)
    terminated: bool = True


class ScriptedEnvironment:
    """Plays a script; observation k is the number k, repeated."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.time_limit = len(script.rewards)
        self.seeds: list[int] = []
        self.steps = 0

    def reset(self, seed: int) -> np.ndarray:
        self.seeds.append(seed)
        self.steps = 0
        return np.zeros(8, np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        reward = self.script.rewards[self.steps]
        self.steps += 1
        ended = self.steps == self.time_limit
        observation = np.full(8, self.steps, np.float32)
        return observation, reward, ended and self.script.terminated, ended and not self.script.terminated

    def close(self) -> None:
        pass


def scripted(patch: pytest.MonkeyPatch, script: Script, **options: Any) -> Lander:
    """Return a lander all of whose tasks play the script."""
    with patch.context() as scope:
        scope.setattr(environments, "make", lambda task, render_mode=None: ScriptedEnvironment(script))
        return lander(**options)


def play_episode(problem: Lander) -> dict[str, Any]:
    """Play until the episode ends, learning nothing; return its record."""
    while (record := problem.advance()) is None:
        pass
    return record
