"""What rewards are multiplied with before they are learned from."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.problem import Lander
from mtctl.problems.lander.rewards import RewardFactors
from tests.problems.lander.landers import SMALL, Script, fill, independent, lander, learn, scripted

EAGER = {"learning_starts": 1}


def factors(gamma: float = 0.5, tasks: int = 2, **scale: Any) -> RewardFactors:
    agent = DQNAgent.model_validate({"kind": "dqn", "reward_scale": scale})
    return RewardFactors(agent.reward_scale, tasks, gamma)


def test_rewards_stay_as_they_are_by_default() -> None:
    assert RewardFactors(DQNAgent(kind="dqn").reward_scale, 3, 0.99).factors is None


def test_a_fixed_factor_is_every_task_s() -> None:
    found = factors(kind="fixed", factor=0.25)
    assert found.factors is not None
    assert found.factors.tolist() == [0.25, 0.25]
    assert found.ready()
    assert not found.follows_returns


def test_the_largest_discounted_return_of_any_step_sets_a_task_s_factor() -> None:
    found = factors(kind="running_return", largest=10.0)
    assert not found.ready()
    # From the last step on: −4, 2 + 0.5·(−4) = 0, 8 + 0 = 8.
    found.see(0, [8.0, 2.0, -4.0])
    assert found.factors is not None
    assert found.factors.tolist() == [10 / 8, 1.0]
    assert (found.ready(0), found.ready(1), found.ready()) == (True, False, False)
    found.see(1, [0.0, -40.0])
    assert found.factors.tolist() == [10 / 8, 10 / 40]
    found.see(0, [1.0, 1.0])
    found.see(1, [-100.0])
    assert found.factors.tolist() == pytest.approx([10 / 8, 10 / 100])
    assert found.ready()


def test_a_task_that_pays_nothing_keeps_its_rewards() -> None:
    found = factors(kind="running_return")
    found.see(0, [0.0, 0.0])
    assert found.factors is not None
    assert found.factors.tolist() == [1.0, 1.0]
    assert found.ready(0)


def test_what_was_seen_is_kept() -> None:
    found, restored = (factors(kind="running_return", tasks=3) for _ in range(2))
    found.see(0, [3.0])
    found.see(2, [-7.0, 1.0])
    restored.load_state_dict(found.state_dict())
    assert restored.factors is not None
    assert found.factors is not None
    assert torch.equal(restored.factors, found.factors)
    assert (restored.ready(1), restored.ready(2)) == (False, True)


def filled(**agent: Any) -> Lander:
    problem = lander(hidden=SMALL, **agent)
    fill(problem, 100)
    return problem


@pytest.mark.parametrize("agent", [{}, {"replay": {"kind": "mixed"}}, independent()], ids=str)
def test_scaled_targets_are_those_of_scaled_rewards(agent: dict[str, Any]) -> None:
    """As if the rewards of the batch had been multiplied before."""
    problem, factor = filled(**agent), torch.tensor([0.5, 2.0, 0.125])
    batch = problem.replay.sample(64)
    scaled = problem.dqn.gradients(batch, factor)
    losses, gramian = scaled.losses.clone(), scaled.gramian("all_shared").clone()
    batch.rewards.mul_(factor.repeat_interleave(torch.tensor(batch.counts)))
    expected = problem.dqn.gradients(batch)
    assert torch.equal(losses, expected.losses)
    assert torch.equal(gramian, expected.gramian("all_shared"))


def test_revisited_losses_are_of_the_same_targets() -> None:
    problem = filled()
    found = problem.dqn.gradients(problem.replay.sample(64), torch.tensor([0.5, 2.0, 0.125]))
    torch.testing.assert_close(problem.revisit(), found.losses)


@pytest.mark.parametrize("kind", ["per_task", "mixed"])
def test_learning_waits_for_an_episode_of_every_task(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    problem = scripted(
        monkeypatch,
        Script((-1.0,) * 4),
        hidden=SMALL,
        gamma=1.0,
        reward_scale={"kind": "running_return", "largest": 1.0},
        replay={"kind": kind, **EAGER},
    )
    learned = [learn(problem) is not None for _ in range(20)]
    # The third task's first episode ends in step 12, whose update knows all factors.
    assert learned == [step >= 12 for step in range(1, 21)]
    assert problem.state_dict()["largest_returns"] == [4.0] * 3


def test_a_network_of_one_task_waits_for_its_own_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = independent(learn="active_task", reward_scale={"kind": "running_return"}, replay=EAGER)
    problem = scripted(monkeypatch, Script((1.0,) * 3), hidden=SMALL, **agent)
    learned = [learn(problem) is not None for _ in range(12)]
    assert learned == [False, False, True] * 3 + [True] * 3


def test_records_and_evaluations_are_not_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(
        monkeypatch, Script((-1.0,) * 4), hidden=SMALL, reward_scale={"kind": "fixed", "factor": 0.01}
    )
    while (record := problem.advance()) is None:
        pass
    assert [each["return"] for each in record["tasks"].values()] == [-4.0]
