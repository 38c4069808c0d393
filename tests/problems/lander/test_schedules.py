"""What changes over a run: the learning rate, exploration, and how far priorities are made up for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mtctl.problems.lander.agents import DQNAgent, Exploration, Priority
from mtctl.problems.lander.schedules import beta, epsilon, rate
from mtctl.recipes.loading import load
from tests.problems.lander.landers import (
    SMALL,
    Script,
    ScriptedEnvironment,
    independent,
    learn,
    scripted,
)


def rates(schedule: dict[str, Any], episodes: list[int], *, steps_each: int = 10) -> list[float]:
    """The fractions after so many of 100 episodes."""
    agent = DQNAgent.model_validate({"kind": "dqn", "lr_schedule": schedule})
    return [
        rate(agent.lr_schedule, episodes=done, all_episodes=100, steps=done * steps_each) for done in episodes
    ]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"kind": "constant"}, [1, 1, 1, 1]),
        ({"kind": "linear"}, [1, 0.75, 0.5, 0]),
        ({"kind": "linear", "final": 0.2}, [1, 0.8, 0.6, 0.2]),
        ({"kind": "linear", "episodes": 50}, [1, 0.5, 0, 0]),
        ({"kind": "linear", "episodes": 200}, [1, 0.875, 0.75, 0.5]),
        ({"kind": "linear", "environment_steps": 500, "final": 0.5}, [1, 0.75, 0.5, 0.5]),
        ({"kind": "cosine"}, [1, (1 + math.sqrt(0.5)) / 2, 0.5, 0]),
        ({"kind": "cosine", "final": 0.1, "episodes": 100}, [1, 0.1 + 0.45 * (1 + 0.5**0.5), 0.55, 0.1]),
    ],
    ids=str,
)  # fmt: skip
def test_the_learning_rate_falls(schedule: dict[str, Any], expected: list[float]) -> None:
    assert rates(schedule, [0, 25, 50, 100]) == pytest.approx(expected)


def moved(problem: Any) -> list[float]:
    """How far the largest step of an update went, update by update: Adam's first ones are the rate."""
    before, found = [leaf.clone() for leaf in problem.dqn.online.leaves()], []
    while problem.done < problem.units:
        if learn(problem) is not None:
            leaves = problem.dqn.online.leaves()
            found.append(max(float((new - old).abs().max()) for new, old in zip(leaves, before, strict=True)))
            before = [leaf.clone() for leaf in leaves]
    return found


def test_updates_are_made_at_the_rate_of_their_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One update an episode of one step; a rate of 0 leaves everything where it is."""
    script = Script((1.0,))
    steps = moved(
        scripted(
            monkeypatch,
            script,
            tasks=["heavy"],
            episodes=8,
            hidden=SMALL,
            lr=1e-2,
            replay={"learning_starts": 1},
            lr_schedule={"kind": "linear", "episodes": 4, "final": 0.0},
        )
    )
    assert steps[:2] == pytest.approx([0.75e-2, 0.5e-2], rel=0.15)
    assert 0 < steps[2] < 0.3e-2
    assert steps[3:] == [0.0] * 5


def test_rates_of_single_tasks_fall_with_the_agent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = independent(
        lr=1e-3, per_task={"heavy": {"lr": 1e-2}}, lr_schedule={"kind": "linear", "environment_steps": 6}
    )
    problem = scripted(
        monkeypatch, Script((1.0,)), episodes=2, hidden=SMALL, replay={"learning_starts": 1}, **agent
    )
    before = [leaf.clone() for leaf in problem.dqn.online.leaves()]
    while learn(problem) is None:
        pass
    assert problem.budget()["environment_steps"] == 3
    largest = [
        float((old - new).abs().max()) for old, new in zip(before, problem.dqn.online.leaves(), strict=True)
    ]
    assert largest == pytest.approx([0.5e-3, 0.5e-3, 0.5e-2], rel=1e-3)


def test_a_constant_rate_is_the_rate_of_before_the_schedule_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, falling = (
        scripted(monkeypatch, Script((1.0,) * 3), episodes=5, hidden=SMALL, **more)
        for more in ({}, {"lr_schedule": {"kind": "linear", "final": 1.0}})
    )
    for problem in (plain, falling):
        for _ in range(40):
            learn(problem)
    assert torch.equal(plain.dqn.online.parameters, falling.dqn.online.parameters)


@pytest.mark.parametrize(
    ("overrides", "depends"),
    [
        ([], True),
        (["agent.lr_schedule={kind: constant}"], False),
        (["agent.lr_schedule={kind: cosine, final: 0.1}"], True),
        (["agent.lr_schedule={kind: cosine, episodes: 100}"], False),
        (["agent.lr_schedule={kind: linear, environment_steps: 100000}"], False),
        (["agent.lr_schedule={kind: constant}", "agent.replay.priority={}"], True),
        (["agent.lr_schedule={kind: constant}", "agent.replay.priority={beta: 1.0}"], False),
        (["agent.lr_schedule={kind: constant}", "agent.replay.priority={environment_steps: 100000}"], False),
        (["agent.replay.priority={beta: 1.0}", "agent.lr_schedule={kind: linear}"], True),
    ],
)
def test_a_recipe_knows_whether_it_depends_on_its_budget(overrides: list[str], depends: bool) -> None:
    assert bool(load("equal_blind", overrides).bound_to_budget) is depends


def test_windows_do_not_depend_on_their_budget() -> None:
    assert not load("windows_documented").bound_to_budget


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1, 0.995**10, 0.995**50, 0.995**100, 0.01]),
        ({"length": 100, "end": 0.25}, [1, 0.25**0.1, 0.5, 0.25, 0.25]),
        ({"length": 100, "shape": "linear", "end": 0.2}, [1, 0.92, 0.6, 0.2, 0.2]),
        ({"length": 20, "shape": "linear", "start": 0.8, "end": 0.0}, [0.8, 0.4, 0, 0, 0]),
        ({"length": 20, "start": 0.0, "end": 0.0, "shape": "linear"}, [0, 0, 0, 0, 0]),
        ({"length": 100, "start": 0.5, "end": 0.5}, [0.5, 0.5, 0.5, 0.5, 0.5]),
    ],
    ids=str,
)
def test_exploration_falls(settings: dict[str, Any], expected: list[float]) -> None:
    exploration = Exploration.model_validate(settings)
    assert [epsilon(exploration, n) for n in (0, 10, 50, 100, 1000)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"shape": "linear"}, "shape: `shape: linear` needs a `length`"),
        ({"counts": "all_steps"}, "counts: `counts: all_steps` needs a `length`"),
        ({"length": 10, "decay": 0.9}, "decay: `decay` has no effect"),
        ({"length": 10, "end": 0.0}, "end: an exponential fall never reaches 0"),
    ],
    ids=str,
)
def test_exploration_that_does_not_go_together(settings: dict[str, Any], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        Exploration.model_validate(settings)


def test_a_task_s_own_decay_needs_an_exploration_that_decays() -> None:
    agent = independent(exploration={"length": 10}, per_task={"heavy": {"epsilon_decay": 0.9}})
    with pytest.raises(ValueError, match=r"per_task\.heavy\.epsilon_decay: `epsilon_decay` has no effect"):
        DQNAgent.model_validate({"kind": "dqn", **agent})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.4, 0.55, 0.7, 1.0]),
        ({"beta": 0.0, "environment_steps": 500}, [0.0, 0.5, 1.0, 1.0]),
        ({"beta": 1.0}, [1.0] * 4),
    ],
    ids=str,
)
def test_factors_come_to_make_up_for_priorities_wholly(
    settings: dict[str, Any], expected: list[float]
) -> None:
    priority = Priority.model_validate(settings)
    found = [beta(priority, episodes=done, all_episodes=100, steps=10 * done) for done in (0, 25, 50, 100)]
    assert found == pytest.approx(expected)


def played(problem: Any, patch: pytest.MonkeyPatch) -> tuple[list[bool], list[float]]:
    """Say of each step of the run whether its action was a random one, and of each episode its record's ε."""
    patch.setattr(problem.dqn.online, "act", lambda observation, task: -1)
    found: list[bool] = []
    original = ScriptedEnvironment.step

    def step(self: ScriptedEnvironment, action: int) -> Any:
        found.append(action >= 0)
        return original(self, max(action, 0))

    patch.setattr(ScriptedEnvironment, "step", step)
    records = []
    while problem.done < problem.units:
        if (record := problem.advance()) is not None:
            records.append(record["extra"]["epsilon"])
    return found, records


@pytest.mark.parametrize(("counts", "length"), [("all_steps", 1200), ("own_steps", 400)])
def test_exploration_by_steps_changes_within_an_episode(
    monkeypatch: pytest.MonkeyPatch, counts: str, length: int
) -> None:
    exploration = {"counts": counts, "length": length, "shape": "linear", "end": 0.0}
    problem = scripted(monkeypatch, Script((0.0,) * 400), episodes=2, hidden=SMALL, exploration=exploration)
    random, epsilons = played(problem, monkeypatch)
    thirds = [sum(random[start : start + 400]) / 400 for start in range(0, 2400, 400)]
    by_all = [5 / 6, 3 / 6, 1 / 6, 0, 0, 0]
    assert thirds == pytest.approx(by_all if counts == "all_steps" else [0.5] * 3 + [0.0] * 3, abs=0.08)
    first, last = (sum(random[part]) / 100 for part in (slice(100), slice(300, 400)))
    assert first - last > (0.1 if counts == "all_steps" else 0.5)
    # The record says what the last step of the episode was played at.
    at_last = (
        [(length - n - 1) / length for n in (398, 798, 1198)] if counts == "all_steps" else [1 / 400] * 3
    )
    assert epsilons == pytest.approx(at_last + [0.0] * 3)


def test_exploration_by_steps_of_an_episode_that_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(
        monkeypatch,
        Script((1.0,) * 3),
        episodes=3,
        hidden=SMALL,
        exploration={"counts": "all_steps", "length": 12, "shape": "linear", "end": 0.0},
    )
    found = []
    while problem.done < problem.units:
        if (record := problem.advance()) is not None:
            found.append(record["extra"]["epsilon"])
    assert found == pytest.approx([10 / 12, 7 / 12, 4 / 12, 1 / 12, 0, 0, 0, 0, 0])
