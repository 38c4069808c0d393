"""Greedy evaluation of a network on one task, over a fixed list of seeds."""

from __future__ import annotations

import torch

from mtctl.problems.contract import SeedList, TaskEvaluation
from mtctl.problems.lander import environments
from mtctl.problems.lander.network import QNetwork


def evaluate(
    network: QNetwork, index: int, task: str, episodes: int, seeds: SeedList, render_mode: str | None = None
) -> TaskEvaluation:
    """Play the first `episodes` seeds of the list at ε = 0 under the task's time limit.

    One observation at a time, so that an episode's course depends on its seed and the weights alone, not on how many
    others are played.
    """
    environment = environments.make(task, render_mode)
    returns, steps, outcomes = [], [], []
    observation = torch.zeros(1, environments.OBSERVATIONS)
    row = observation.numpy()[0]
    try:
        for episode in range(episodes):
            row[:] = environment.reset(environments.evaluation_seed(seeds, task, episode))
            total, count, ended = 0.0, 0, False
            while not ended:
                latest, reward, terminated, truncated = environment.step(network.act(observation, index))
                row[:] = latest
                total += reward
                count += 1
                ended = terminated or truncated
            returns.append(total)
            steps.append(count)
            outcomes.append(environments.outcome(terminated, reward))
    finally:
        environment.close()
    return TaskEvaluation(tuple(returns), tuple(steps), tuple(outcomes))
