"""Policies without learning, which see what a learner sees; and what they reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtctl.problems.hybrid.environments.copies import Copies
from mtctl.problems.hybrid.environments.topology import DELETE, HIGH, KEEP, LIFE, LOW, SPAWN
from mtctl.problems.hybrid.spaces import ActionLayout, FlatActions

Pilot = Callable[[np.ndarray], Any]


def random_actions(layout: ActionLayout, count: int, rng: np.random.Generator) -> FlatActions:
    columns = [rng.integers(0, size, count) for size in layout.sizes]
    discrete = np.stack(columns, axis=1) if columns else np.zeros((count, 0), np.int64)
    binary = rng.integers(0, 2, (count, layout.binaries)).astype(np.int8)
    return FlatActions(discrete, binary, rng.uniform(layout.low, layout.high, (count, layout.dimensions)))


def random_pilot(copies: Copies, seed: int = 0) -> Pilot:
    layout, rng = ActionLayout(copies.action_space, copies.uses), np.random.default_rng(seed)
    return lambda observations: layout.assemble(random_actions(layout, len(observations), rng))


def stop_on_target(observations: np.ndarray) -> dict[str, np.ndarray]:
    """Turn towards the target at rest, accelerate as long as braking would stop before it, then brake."""
    x, y, speed, cos, sin, target_x, target_y, distance = observations[:, :8].astype(np.float64).T
    bearing = np.arctan2(target_y - y, target_x - x) - np.arctan2(sin, cos)
    bearing = (bearing + np.pi) % (2 * np.pi) - np.pi
    # From speed v, braking by 0.1 a step covers about 0.005 · v² / 0.2.
    wanted = np.sqrt(distance / 0.025) - speed
    turning = (speed == 0) & (np.abs(bearing) > 0.01)
    ahead = ~turning & (np.abs(bearing) < np.pi / 2) & (distance > 0.03)
    accelerating = ahead & ((wanted > 0.1) | (speed == 0))
    choice = np.where(turning, 1, np.where(accelerating, 0, 2))
    return {
        "choice": choice,
        "acceleration": np.clip(wanted / 0.5, 0.2, 1.0)[:, None],
        "turn": np.clip(bearing / (np.pi / 2), -1.0, 1.0)[:, None],
    }


def grow(observations: np.ndarray, demands: bool = True) -> dict[str, np.ndarray]:
    """Spawn wherever possible and delete what withers next; meet the demands, or never do."""
    nodes = observations[:, :-1].reshape(len(observations), -1, 7)
    withering = nodes[..., 1] * LIFE <= 1.0
    choice = np.where(nodes[..., 0] == 0, KEEP, np.where(withering, DELETE, SPAWN))
    unit = nodes[..., 3:] if demands else np.full_like(nodes[..., 3:], 0.5)
    return {"choice": choice, "spawn": LOW + unit * (HIGH - LOW)}


@dataclass
class Played:
    returns: np.ndarray
    lengths: np.ndarray
    outcomes: np.ndarray


def first_episodes(copies: Copies, pilot: Pilot, seeds: np.ndarray) -> Played:
    """Play each copy's first episode, so that short episodes do not count more often than long ones."""
    observations = copies.reset(seeds)
    played = Played(*(np.zeros(len(seeds), kind) for kind in (np.float64, np.int64, object)))
    running = np.ones(len(seeds), np.bool_)
    while running.any():
        observations, *_ = copies.step(pilot(observations))
        now = running & copies.ended
        played.returns[now], played.lengths[now] = copies.returns[now], copies.lengths[now]
        played.outcomes[now] = np.array(copies.outcomes, object)[copies.outcome[now]]
        running &= ~now
    return played
