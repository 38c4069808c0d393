from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.box2d.lunar_lander import heuristic

from mtctl.engine.scores import definition_hash
from mtctl.problems.lander import environments, tasks
from mtctl.problems.lander.environments import Environment, make, outcome
from mtctl.problems.lander.tasks import TASKS

Pilot = Callable[[Environment, np.ndarray], int]
Step = tuple[list[float], float, bool, bool]


def waiting(environment: Environment, observation: np.ndarray) -> int:
    return 0


def expert(environment: Environment, observation: np.ndarray) -> int:
    action: int = heuristic(environment.world, observation)
    return action


def play(environment: Environment, seed: int, pilot: Pilot = waiting) -> list[Step]:
    observation = environment.reset(seed)
    steps = [(observation.tolist(), 0.0, False, False)]
    while not (steps[-1][2] or steps[-1][3]):
        observation, reward, terminated, truncated = environment.step(pilot(environment, observation))
        steps.append((observation.tolist(), reward, terminated, truncated))
    return steps


def ending(steps: list[Step]) -> str:
    return outcome(steps[-1][2], steps[-1][1])


def total(steps: list[Step]) -> float:
    return sum(reward for _, reward, _, _ in steps)


def velocity(environment: Environment) -> tuple[float, float]:
    hull = environment.world.lander
    assert hull is not None
    return tuple(hull.linearVelocity)


class Hovering:
    """A world in which nothing ends an episode but what it is told."""

    gravity = -10.0

    def __init__(self, crash_at: int | None = None) -> None:
        self.crash_at, self.steps = crash_at, 0
        self.world = self.lander = self.np_random = self

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        self.steps = 0
        return np.zeros(8, np.float32), {}

    def uniform(self, low: float, high: float) -> float:
        return high

    def ApplyForceToCenter(self, force: tuple[float, float], wake: bool) -> None:
        pass

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.zeros(8, np.float32), 0.0, self.steps == self.crash_at, False, {}


@pytest.mark.parametrize(
    ("task", "limit"), [("standard", 1000), ("windy", 400), ("heavy", 800), ("windy_hull_noise", 400)]
)
def test_time_limits(task: str, limit: int) -> None:
    environment = Environment(Hovering(), TASKS[task])  # type: ignore[arg-type]
    assert environment.time_limit == limit
    for _ in range(2):  # the clock starts again with each episode
        steps = play(environment, 0)
        assert len(steps) - 1 == limit
        assert steps[-1][2:] == (False, True)
        assert ending(steps) == "timed_out"


def test_termination_in_the_last_step_is_no_truncation() -> None:
    steps = play(Environment(Hovering(crash_at=400), TASKS["windy"]), 0)  # type: ignore[arg-type]
    assert len(steps) - 1 == 400
    assert steps[-1][2:] == (True, False)


@pytest.mark.parametrize(("task", "gravity"), [("standard", -10.0), ("windy", -10.0), ("heavy", -12.5)])
def test_gravity_after_every_reset(task: str, gravity: float) -> None:
    environment = make(task)
    for seed in range(3):
        environment.reset(seed)
        assert tuple(environment.world.world.gravity) == (0.0, gravity)
        speeds = []
        for _ in range(10):
            speeds.append(velocity(environment)[1])
            environment.step(0)
        # In free fall a body gains g per second, in steps of 1/50 s; first its legs swing out.
        assert np.diff(speeds[2:]) == pytest.approx(gravity / 50, rel=1e-2)


def test_wind_is_gymnasiums_and_only_where_declared() -> None:
    worlds = {task: make(task).world for task in TASKS}
    assert [task for task, world in worlds.items() if world.enable_wind] == ["windy"]
    assert (worlds["windy"].wind_power, worlds["windy"].turbulence_power) == (15.0, 1.5)


@pytest.mark.parametrize(
    ("task", "pushed"), [("standard", False), ("windy", True), ("windy_hull_noise", True)]
)
def test_force_on_the_falling_hull(task: str, pushed: bool) -> None:
    environment = make(task)
    environment.reset(3)
    speeds = []
    for _ in range(30):
        speeds.append(velocity(environment)[0])
        environment.step(0)
    changes = np.abs(np.diff(speeds))
    assert (changes.max() > 1e-3) == pushed


def test_pilots() -> None:
    """The heuristic pilot solves the standard task and lands; doing nothing crashes."""
    environment = make("standard")
    flights = [play(environment, seed, expert) for seed in range(8)]
    assert np.mean([total(flight) for flight in flights]) > 200
    assert [ending(flight) for flight in flights].count("landed") >= 6
    assert all(flight[-1][1] == 100 for flight in flights if ending(flight) == "landed")
    crash = play(environment, 0)
    assert ending(crash) == "crashed"
    assert crash[-1][1] == -100


def test_hull_noise_keeps_the_lander_awake() -> None:
    """The force acts on the ground too, so that the body never sleeps and no episode ends in a landing."""
    environment, calm = make("windy_hull_noise"), make("standard")
    flights = [play(environment, seed, expert) for seed in range(8)]
    assert {ending(flight) for flight in flights} <= {"timed_out", "crashed"}
    on_ground = [flight[-1][0][6:] == [1.0, 1.0] for flight in flights if ending(flight) == "timed_out"]
    assert any(on_ground)
    assert "landed" in {ending(play(calm, seed, expert)) for seed in range(8)}


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_decides_the_episode_also_in_a_used_environment(task: str) -> None:
    used = make(task)
    first = play(used, 5, expert)
    play(used, 6, expert)
    assert play(used, 5, expert) == first == play(make(task), 5, expert)
    assert play(used, 6, expert) != first


def test_episode_is_cut_off_without_a_trace_in_the_next() -> None:
    environment = make("heavy")
    environment.reset(1)
    for _ in range(20):
        environment.step(2)
    assert play(environment, 2) == play(make("heavy"), 2)


@pytest.mark.parametrize(
    ("terminated", "reward", "name"),
    [
        (True, 100.0, "landed"),
        (True, -100.0, "crashed"),
        (False, 3.0, "timed_out"),
        (False, -3.0, "timed_out"),
    ],
)
def test_outcomes(terminated: bool, reward: float, name: str) -> None:
    assert outcome(terminated, reward) == name


def test_training_never_sees_evaluation_seeds() -> None:
    lists = {
        name: {environments.evaluation_seed(name, task, i) for task in TASKS for i in range(1000)}
        for name in ("held_out", "monitor")
    }
    training = {
        environments.training_seed(run, task, i) for run in range(3) for task in TASKS for i in range(1500)
    }
    assert [len(seeds) for seeds in lists.values()] == [4000, 4000]
    for one, other in pairwise((lists["held_out"], lists["monitor"], training, lists["held_out"])):
        assert not one & other


def test_the_held_out_list_is_published_and_stays() -> None:
    """Changing it makes old scores incomparable: then `seed_list` must change too."""
    assert environments.definition(("standard",))["seed_list"] == "v1"
    found = {task: [environments.evaluation_seed("held_out", task, i) for i in range(3)] for task in TASKS}
    assert found == {
        "standard": [1576890651, 695867954, 2916025149],
        "windy": [3578933982, 2983480235, 4256299752],
        "heavy": [2930978690, 2963835823, 1544782500],
        "windy_hull_noise": [1636480977, 1252323659, 3729812978],
    }


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(tasks.TaskDefinition)])
def test_definition_changes_with_every_rule(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    before = definition_hash(environments.definition(("standard", "windy")))
    changed = dataclasses.replace(TASKS["windy"], **{field: getattr(TASKS["windy"], field) + 1})
    monkeypatch.setattr(environments, "TASKS", {**TASKS, "windy": changed})
    after = environments.definition(("standard", "windy"))
    assert definition_hash(after) != before
    assert definition_hash(environments.definition(("standard",))) == definition_hash(
        {**after, "tasks": {"standard": after["tasks"]["standard"]}}
    )


def test_definition_is_plain_json_and_names_the_tasks() -> None:
    found = environments.definition(("heavy", "standard"))
    assert json.loads(json.dumps(found)) == found
    assert list(found["tasks"]) == ["heavy", "standard"]
    assert definition_hash(found) != definition_hash(environments.definition(("heavy",)))
    assert definition_hash(found) == definition_hash(environments.definition(("standard", "heavy")))


class Still:
    """Stands in for an environment's random numbers: nothing is off the middle."""

    def uniform(self, low: float, high: float, size: tuple[int] | None = None) -> Any:
        return (low + high) / 2 if size is None else np.full(size, (low + high) / 2)


def pushed(task: str, actions: list[int], force: float) -> list[Step]:
    """Play from a start with a sideways force on the hull."""
    environment = make(task)
    world: Any = environment.world
    world._np_random = Still()
    world.reset()
    world.world.gravity = (0.0, TASKS[task].gravity)
    world.lander.ApplyForceToCenter((force, 0.0), True)
    steps: list[Step] = []
    for action in actions:
        observation, reward, terminated, truncated = environment.step(action)
        steps.append((observation.tolist(), reward, terminated, truncated))
        if terminated:
            break
    return steps


@pytest.mark.parametrize("task", ["standard", "heavy"])
def test_the_world_is_the_same_in_a_mirror(task: str) -> None:
    """Wind, which is as likely from either side, and dispersion are left out."""
    actions = [2, 2, 1, 2, 0, 2, 3, 2, 2, 1] * 6
    steps = pushed(task, actions, 40.0)
    mirrored = pushed(task, [(4 - action) % tasks.ACTIONS for action in actions], -40.0)
    assert len(steps) == len(mirrored)
    order, signs = list(environments.MIRRORED_ORDER), np.array(environments.MIRRORED_SIGNS)
    for one, other in zip(steps, mirrored, strict=True):
        np.testing.assert_allclose(np.array(one[0])[order] * signs, other[0], atol=1e-3)
        assert one[1:] == pytest.approx(other[1:], abs=0.01)
