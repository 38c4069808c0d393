"""Greedy episodes: what one comes to depends on its seed alone, however many copies play."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtctl.problems.contract import TaskEvaluation
from mtctl.problems.hybrid.environments.copies import Copies
from mtctl.problems.hybrid.environments.making import copies_for, make_copies
from mtctl.problems.hybrid.playing import evaluation_seeds, play_episodes


class Pilot:
    """Acts by one number of each observation; in place of a policy, whose last bits depend on batches."""

    def __init__(self, environment: str) -> None:
        self._environment = environment

    def seen(self, observations: np.ndarray) -> np.ndarray:
        return observations.copy()

    def act(self, seen: np.ndarray, copies: Copies, drawing: None) -> Any:
        if self._environment == "CartPole-v1":
            return (seen[:, 2] > 0).astype(np.int64)
        choice = (np.abs(1e3 * seen[:, 0]).astype(np.int64)) % 3
        number = np.abs(np.sin(1e3 * seen[:, 1:2])).astype(np.float32)
        if self._environment == "lander_hybrid":
            return {"engine": choice, "throttle": number}
        return {"choice": choice, "acceleration": number, "turn": number}


def played(environment: str, episodes: int, copies: int) -> TaskEvaluation:
    opened = make_copies(environment, copies)
    try:
        return play_episodes(Pilot(environment), opened, evaluation_seeds("held_out", episodes), None)  # type: ignore[arg-type]
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("environment", "episodes"), [("moving", 60), ("CartPole-v1", 40), ("lander_hybrid", 7)]
)
def test_episodes_do_not_depend_on_how_many_copies_play_them(environment: str, episodes: int) -> None:
    each_its_own = played(environment, episodes, episodes)
    assert len(set(each_its_own.scores)) > episodes // 4
    for copies in (1, 3, episodes - 1):
        assert played(environment, episodes, copies) == each_its_own
    assert played(environment, episodes // 2, 2).scores == each_its_own.scores[: episodes // 2]


def test_copies_are_many_only_where_they_are_stepped_together() -> None:
    assert copies_for("moving", 1000) == copies_for("mtctl/Topology-v0", 1000) == 1000
    assert copies_for("lander_hybrid", 1000) == copies_for("CartPole-v1", 1000) == 64
    assert copies_for("CartPole-v1", 20) == 20
