"""What advantage learning and mirrored rows come to once a network has learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mtctl.problems.lander.problem import Lander
from tests.problems.lander.landers import ONES, lander

REWARDS = (1.0, 0.9, 0.7, 0.9)
"""Of the four actions, each of which ends an episode."""
SEEN = np.array([0.5, 1.0, -0.3, 0.2, 0.1, -0.4, 1.0, 0.0], dtype=np.float32)


def learned(updates: int, rows: list[tuple[int, float]], *, mirrored: bool = False, **agent: Any) -> Lander:
    """Return a lander that has learned from one-step episodes (action, reward) from one observation."""
    problem = lander(
        hidden=(32, 16), lr=3e-3, target={"kind": "soft", "tau": 0.2}, replay={"mirrored": mirrored}, **agent
    )
    for task in range(3):
        for action, reward in rows:
            problem.replay.add(task, SEEN, action, reward, SEEN, 0.0)
    for _ in range(updates):
        problem.dqn.gradients(problem.replay.sample(32)).combine(ONES, ONES)
        problem.update()
    return problem


def values(problem: Lander, observation: np.ndarray) -> list[float]:
    found: list[float] = problem.dqn.online.forward(torch.from_numpy(observation)[None], (1, 0, 0))[
        0
    ].tolist()
    return found


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8])
def test_what_is_worse_becomes_so_much_worse_and_the_best_stays(alpha: float) -> None:
    problem = learned(1500, list(enumerate(REWARDS)), advantage_learning=alpha)
    expected = [1.0 - (1.0 - reward) / (1 - alpha) for reward in REWARDS]
    assert values(problem, SEEN) == pytest.approx(expected, abs=0.03)


def test_a_mirrored_network_knows_what_it_has_not_seen() -> None:
    """It is shown the left engine only, and learns what the right one is worth on the other side."""
    unseen = np.array([-0.5, 1.0, 0.3, 0.2, -0.1, 0.4, 0.0, 1.0], dtype=np.float32)
    rows = [(1, 2.0)]
    assert values(learned(300, rows, mirrored=True), unseen)[3] == pytest.approx(2.0, abs=0.05)
    assert values(learned(300, rows), unseen)[3] != pytest.approx(2.0, abs=0.3)
