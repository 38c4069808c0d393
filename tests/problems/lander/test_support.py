"""Runs say when the returns that occur do not fit between the atoms."""

from __future__ import annotations

import pytest
import torch

from mtctl.problems.lander import support
from mtctl.problems.lander.agents import Categorical
from mtctl.problems.lander.support import SupportWatch
from tests.problems.lander.landers import ONES, TASKS, Script, lander, play_episode, scripted


def test_shares_are_of_each_task_since_the_last_call() -> None:
    watch = SupportWatch(TASKS, Categorical())
    assert watch.shares() == dict.fromkeys(TASKS)
    watch.see(torch.tensor([1.0, 0.5, 0.0, 0.0, 1.0]), (2, 0, 3))
    assert watch.shares() == {"standard": 0.75, "windy": None, "heavy": pytest.approx(1 / 3)}
    assert watch.shares() == dict.fromkeys(TASKS)


@pytest.mark.parametrize(("clipped", "said"), [(0.04, False), (0.06, True)])
def test_large_shares_are_said_once(monkeypatch: pytest.MonkeyPatch, clipped: float, said: bool) -> None:
    monkeypatch.setattr(support, "WINDOW", 100)
    watch = SupportWatch(("standard", "heavy"), Categorical(low=-1, high=2))
    for _ in range(3):
        watch.see(torch.cat([torch.zeros(40), torch.full((40,), clipped)]), (40, 40))
    notices = watch.notices()
    assert bool(notices) == said
    assert watch.notices() == []
    if said:
        (text,) = notices
        assert "outside -1 to 2 (6% of `heavy`)" in text
        assert "widen `agent.categorical.low` and `high`" in text
        assert "`agent.reward_scale`" in text


@pytest.mark.parametrize(
    ("high", "projection", "share"),
    [(2.0, "c51", 0.0), (0.5, "c51", 1.0), (0.5, "hl_gauss", 1.0), (2.0, "hl_gauss", 0.0)],
)
def test_a_lander_counts_what_its_support_clips(
    monkeypatch: pytest.MonkeyPatch, high: float, projection: str, share: float
) -> None:
    settings = {"low": -2.0, "high": high, "atoms": 11, "projection": projection}
    script = Script((1.0,))
    problem = scripted(monkeypatch, script, hidden=(8,), categorical=settings, replay={"learning_starts": 1})
    for _ in range(3):
        play_episode(problem)
    assert problem.inspect()["clipped_targets"] == dict.fromkeys(TASKS)
    gradients = problem.gradients()
    assert gradients is not None
    gradients.combine(ONES, ONES)
    assert problem.inspect()["clipped_targets"] == dict.fromkeys(TASKS, share)


def test_without_distributions_there_is_nothing_to_clip() -> None:
    problem = lander(hidden=(8,))
    assert "clipped_targets" not in problem.inspect()
    assert problem.notices() == []
