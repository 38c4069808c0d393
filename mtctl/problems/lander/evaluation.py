"""Greedy episodes of a network on one task, over a fixed list of seeds: scored, or shown."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mtctl.problems.contract import Frame, SeedList, TaskEvaluation
from mtctl.problems.lander import environments
from mtctl.problems.lander.environments import Environment
from mtctl.problems.lander.networks.flat import FlatNetwork
from mtctl.problems.lander.tasks import OBSERVATIONS


def evaluate(network: FlatNetwork, index: int, task: str, episodes: int, seeds: SeedList) -> TaskEvaluation:
    """Play the first `episodes` seeds of the list at ε = 0 under the task's time limit.

    One observation at a time, so that an episode's course depends on its seed and the weights alone, not on
    how many others are played.
    """
    environment = environments.make(task)
    seed_list = (environments.evaluation_seed(seeds, task, episode) for episode in range(episodes))
    played = [_play(environment, network, index, seed) for seed in seed_list]
    environment.close()
    returns, steps, outcomes = zip(*played, strict=True)
    return TaskEvaluation(returns, steps, outcomes)


def show(
    network: FlatNetwork, index: int, task: str, episodes: int, frame: Callable[[Frame], None] | None
) -> None:
    """Play the first held-out seeds in a window, or hand each frame [height, width, 3] to `frame`."""
    environment = environments.make(task, "human" if frame is None else "rgb_array")
    try:
        for episode in range(episodes):
            seed = environments.evaluation_seed("held_out", task, episode)
            _play(environment, network, index, seed, None if frame is None else _Camera(environment, frame))
    finally:
        environment.close()


class _Camera:
    """Hands over the picture of the moment."""

    def __init__(self, environment: Environment, frame: Callable[[Frame], None]) -> None:
        self._environment, self._frame = environment, frame

    def __call__(self) -> None:
        self._frame(self._environment.world.render())


def _play(
    environment: Environment,
    network: FlatNetwork,
    index: int,
    seed: int,
    after_step: Callable[[], None] | None = None,
) -> tuple[float, int, str]:
    """Play one episode greedily; return its return, steps and outcome."""
    observation = torch.zeros(OBSERVATIONS)
    row = observation.numpy()
    row[:] = environment.reset(seed)
    total, steps = 0.0, 0
    while True:
        latest, reward, terminated, truncated = environment.step(network.act(observation, index))
        row[:] = latest
        total += reward
        steps += 1
        if after_step is not None:
            after_step()
        if terminated or truncated:
            return total, steps, environments.outcome(terminated, reward)
