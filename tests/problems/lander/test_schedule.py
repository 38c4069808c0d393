"""When things happen: turns, exploration, learning, target networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mtctl.problems.lander import environments
from mtctl.problems.lander.problem import Lander
from tests.problems.lander.landers import (
    SMALL,
    TASKS,
    Script,
    ScriptedEnvironment,
    independent,
    learn,
    play_episode,
    scripted,
)

EAGER = {"learning_starts": 1}


def epsilons(problem: Lander, episodes: int) -> list[float]:
    return [play_episode(problem)["extra"]["epsilon"] for _ in range(episodes)]


def test_tasks_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(monkeypatch, Script((1.0, 1.0)), episodes=3)
    records = [play_episode(problem) for _ in range(9)]
    assert [tuple(record["tasks"]) for record in records] == [(task,) for task in TASKS] * 3
    assert [record["unit"] for record in records] == list(range(1, 10))
    assert records[-1]["environment_steps"] == problem.budget()["environment_steps"] == 18
    assert problem.done == problem.units == 9


def test_episodes_start_from_seeds_of_the_run_the_task_and_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[ScriptedEnvironment] = []

    def make(_task: str) -> ScriptedEnvironment:
        made.append(ScriptedEnvironment(Script()))
        return made[-1]

    problem = scripted(monkeypatch, Script(), seed=7)
    monkeypatch.setattr(problem, "_environments", [make(task) for task in TASKS])
    for _ in range(6):
        play_episode(problem)
    expected = [[environments.training_seed(7, task, episode) for episode in range(2)] for task in TASKS]
    assert [environment.seeds for environment in made] == expected


def test_epsilon_reaches_its_floor_at_episode_919(monkeypatch: pytest.MonkeyPatch) -> None:
    found = epsilons(scripted(monkeypatch, Script()), 925)
    assert found[0] == 1.0
    assert found[1] == pytest.approx(0.995)
    assert found[300] == pytest.approx(0.995**300)
    # After 918 episodes 0.995⁹¹⁸ is still above 0.01, after 919 it is not.
    assert found[918] > 0.01
    assert found[919:] == [0.01] * 6


def test_epsilon_by_own_episodes_and_of_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    exploration = {"counts": "own_episodes", "start": 0.8, "end": 0.5, "decay": 0.9}
    agent = independent(exploration=exploration, per_task={"heavy": {"epsilon_decay": 0.7}})
    found = epsilons(scripted(monkeypatch, Script(), **agent), 12)
    assert found[0::3] == found[1::3] == pytest.approx([0.8, 0.72, 0.648, 0.5832])
    assert found[2::3] == pytest.approx([0.8, 0.56, 0.5, 0.5])


@pytest.mark.parametrize("start", [0.0, 0.3, 1.0])
def test_epsilon_is_the_share_of_random_actions(monkeypatch: pytest.MonkeyPatch, start: float) -> None:
    actions: list[int] = []
    problem = scripted(
        monkeypatch, Script((0.0,) * 4000), exploration={"start": start, "end": start}, hidden=SMALL
    )
    greedy = problem.dqn.online.act
    monkeypatch.setattr(problem.dqn.online, "act", lambda observation, task: -1)

    def step(self: ScriptedEnvironment, action: int) -> Any:
        actions.append(action)
        return original(self, max(action, 0))

    original = ScriptedEnvironment.step
    monkeypatch.setattr(ScriptedEnvironment, "step", step)
    play_episode(problem)
    random = [action for action in actions if action >= 0]
    assert len(random) / len(actions) == pytest.approx(start, abs=0.03)
    if start:
        shares = [random.count(action) / len(random) for action in range(4)]
        assert shares == pytest.approx([0.25] * 4, abs=0.04)
    assert greedy(torch.zeros(8), 0) in range(4)


@pytest.mark.parametrize("every", [1, 3])
def test_updates_come_every_k_steps(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    problem = scripted(
        monkeypatch, Script((1.0,) * 4), tasks=["heavy"], hidden=SMALL, update_every=every, replay=EAGER
    )
    learned = [learn(problem) is not None for _ in range(12)]
    assert learned == [step % every == 0 for step in range(1, 13)]
    assert problem.budget()["updates"] == problem.dqn.updates == 12 // every


def test_learning_starts_once_every_task_has_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(monkeypatch, Script((1.0,) * 4), hidden=SMALL, replay={"learning_starts": 6})
    learned = [learn(problem) is not None for _ in range(24)]
    # Turns of four steps: the last task has its sixth transition in step 22.
    assert learned == [step >= 22 for step in range(1, 25)]


def test_learning_starts_of_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = independent(learn="active_task", replay={"learning_starts": 2}, hidden=SMALL)
    problem = scripted(monkeypatch, Script((1.0,) * 4), per_task={"windy": {"learning_starts": 7}}, **agent)
    trained = []
    for _ in range(24):
        gradients = learn(problem)
        trained.append(None if gradients is None else gradients.active.tolist().index(True))
    assert trained == [None, 0, 0, 0] + [None] * 4 + [None, 2, 2, 2] + [0] * 4 + [None, None, 1, 1] + [2] * 4


def targets_after_each_step(problem: Lander, steps: int) -> list[tuple[Tensor, Tensor, bool]]:
    """Return (online before the step, target after it, episode over) [K, P] of each step."""
    seen = []
    for _ in range(steps):
        online, done = problem.policy_state()["parameters"], problem.done
        learn(problem)
        seen.append((online, problem.dqn.state_dict()["target"]["parameters"], problem.done > done))
    return seen


def test_target_follows_every_tenth_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(monkeypatch, Script((1.0, 1.0)), hidden=SMALL, replay=EAGER)
    target = problem.dqn.state_dict()["target"]["parameters"]
    for step, (online, after, _) in enumerate(targets_after_each_step(problem, 64)):
        if step and step % 20 == 0:
            assert torch.equal(after, online)
            assert not torch.equal(after, target)
            target = after
        assert torch.equal(after, target)


def test_target_of_each_independent_network_follows_its_own_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = independent(
        target={"kind": "episodes", "every": 2}, per_task={"heavy": {"target_every": 3}}, replay=EAGER
    )
    problem = scripted(monkeypatch, Script(), hidden=SMALL, **agent)
    target = problem.dqn.state_dict()["target"]["parameters"]
    copied: dict[int, list[int]] = {task: [] for task in range(3)}
    for episode, (online, after, _) in enumerate(targets_after_each_step(problem, 24)):
        for task in range(3):
            if not torch.equal(after[task], target[task]):
                assert task == episode % 3
                assert torch.equal(after[task], online[task])
                copied[task].append(episode // 3)
        target = after
    assert copied == {0: [2, 4, 6], 1: [2, 4, 6], 2: [3, 6]}


def test_target_follows_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(
        monkeypatch, Script((1.0,) * 5), hidden=SMALL, replay=EAGER, target={"kind": "updates", "every": 4}
    )
    copies = []
    for _ in range(40):
        gradients = learn(problem)
        state = problem.dqn.state_dict()
        same = torch.equal(state["online"]["parameters"], state["target"]["parameters"])
        if gradients is not None:
            assert same == (problem.dqn.updates % 4 == 0)
            copies.append(same)
    assert copies.count(True) >= 7


def test_soft_target_is_a_running_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(
        monkeypatch,
        Script((1.0,) * 5),
        hidden=SMALL,
        replay=EAGER,
        task_encoding="embedding",
        target={"kind": "soft", "tau": 0.1},
    )
    expected = problem.dqn.state_dict()["target"]
    for _ in range(30):
        if learn(problem) is None:
            continue
        state = problem.dqn.state_dict()
        for name, tensor in expected.items():
            tensor.mul_(0.9).add_(0.1 * state["online"][name])
            torch.testing.assert_close(state["target"][name], tensor, rtol=1e-5, atol=1e-6)
    assert problem.dqn.updates > 10
