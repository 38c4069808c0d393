"""What holds for the copies of every environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.hybrid.environments.copies import RUNNING, Copies
from mtctl.problems.hybrid.environments.making import make_copies
from mtctl.problems.hybrid.environments.moving import Moving
from mtctl.problems.hybrid.environments.registration import IDS, register
from mtctl.problems.hybrid.observations import ObservationLayout
from mtctl.problems.hybrid.spaces import ActionLayout, FlatActions
from tests.problems.hybrid.pilots import random_actions

NAMES = [*IDS, "CartPole-v1"]
STEPS = 130  # by then a random policy has ended episodes of each


def drawn(layout: ActionLayout, count: int, seed: int) -> list[FlatActions]:
    rng = np.random.default_rng(seed)
    return [random_actions(layout, count, rng) for _ in range(STEPS)]


def path(copies: Copies, actions: list[Any]) -> list[list[Any]]:
    """Return what every step gives for each copy."""
    found: list[list[Any]] = [[] for _ in range(copies.copies)]
    for action in actions:
        copies.step(action)
        arrays = (copies.observations, copies.final_observations, copies.rewards, copies.terminated)
        rest = (copies.truncated, copies.outcome, copies.success, copies.returns, copies.lengths)
        for copy, steps in enumerate(found):
            steps.append([np.array(array[copy]).tobytes() for array in (*arrays, *rest)])
    return found


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest) -> Callable[[int], Copies]:
    return lambda count: make_copies(request.param, count)


def test_a_copys_episodes_depend_on_its_seed_alone(make: Callable[[int], Copies]) -> None:
    several, one = make(3), make(1)
    layout = ActionLayout(several.action_space, several.uses)
    actions = drawn(layout, 3, 0)
    several.reset([11, 22, 33])
    expected = path(several, [layout.assemble(action) for action in actions])[1]
    one.reset([22])
    own = [layout.assemble(action.rows(slice(1, 2))) for action in actions]
    assert path(one, own)[0] == expected
    assert expected[0] != expected[-1]
    several.close()
    one.close()


def test_a_state_goes_on_as_if_nothing_had_been(make: Callable[[int], Copies]) -> None:
    before, after = make(3), make(3)
    layout = ActionLayout(before.action_space, before.uses)
    actions = [layout.assemble(action) for action in drawn(layout, 3, 1)]
    before.reset([1, 2, 3])
    path(before, actions[:70])
    state = before.state_dict()
    expected = path(before, actions[70:])
    after.load_state_dict(state)
    np.testing.assert_array_equal(after.observations, state["observations"])
    assert path(after, actions[70:]) == expected


def test_ends_and_beginnings_keep_the_contract(make: Callable[[int], Copies]) -> None:
    copies = make(4)
    layout = ActionLayout(copies.action_space, copies.uses)
    assert ObservationLayout(copies.observation_space).size == copies.observations.shape[1]
    copies.reset(range(4))
    returns, lengths, ended = np.zeros(4), np.zeros(4, np.int64), 0
    for action in drawn(layout, 4, 2):
        observations, rewards, terminated, truncated = copies.step(layout.assemble(action))
        returns, lengths = returns + rewards, lengths + 1
        np.testing.assert_allclose(copies.returns, returns)
        np.testing.assert_array_equal(copies.lengths, lengths)
        assert not (terminated & truncated).any()
        np.testing.assert_array_equal(copies.ended, terminated | truncated)
        np.testing.assert_array_equal(copies.outcome == RUNNING, ~copies.ended)
        assert not copies.success[~copies.ended].any()
        same = (observations == copies.final_observations).all(axis=1)
        np.testing.assert_array_equal(same, ~copies.ended)
        for row in (*observations, *copies.final_observations):
            assert copies.observation_space.contains(row)
        ended += copies.ended.sum()
        returns[copies.ended], lengths[copies.ended] = 0, 0
    assert ended > 0
    first = copies.reset(range(4)).copy()
    np.testing.assert_array_equal(copies.reset(range(4)), first)
    assert copies.returns.tolist() == [0] * 4


def test_seeds_are_one_a_copy_and_come_first() -> None:
    copies = Moving(3)
    with pytest.raises(gymnasium.error.ResetNeeded, match="moving"):
        copies.step({})
    with pytest.raises(ValueError, match=r"\(2,\): expected \(3,\)"):
        copies.reset([1, 2])
    with pytest.raises(ValueError, match="there must be one"):
        Moving(0)


def test_what_is_not_finite_is_named() -> None:
    copies = Moving(3)
    copies.reset(range(3))
    turn = np.array([[0.0], [0.0], [np.nan]])
    zero = {"choice": np.ones(3, np.int64), "acceleration": np.zeros((3, 1)), "turn": np.zeros((3, 1))}
    copies.step(zero)
    with pytest.raises(
        MtctlError, match=r"environment moving, copy 2, step 2 of its episode 0: number 0"
    ) as found:
        copies.step(zero | {"turn": turn})
    assert found.value.code is ExitCode.USAGE


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_has_nothing_to_say(name: str) -> None:
    register()  # once more: nothing happens
    environment = gymnasium.make(IDS[name])
    check_env(environment.unwrapped)
    environment.close()


@pytest.mark.parametrize("name", ["moving", "sliding", "topology"])
def test_one_copy_behaves_as_gymnasium_says(name: str) -> None:
    environment = gymnasium.make(IDS[name]).unwrapped
    environment.action_space.seed(0)
    observation, info = environment.reset(seed=3)
    again, _ = environment.reset(seed=3)
    np.testing.assert_array_equal(observation, again)
    assert ("active" in info) == (name == "topology")
    terminated = truncated = False
    while not (terminated or truncated):
        assert "outcome" not in info
        observation, _, terminated, truncated, info = environment.step(environment.action_space.sample())
    assert info["outcome"] in environment.get_wrapper_attr("outcomes")
    assert isinstance(info["success"], bool)
    assert (
        observation[9 if name != "topology" else -1] > 0
    )  # the final observation, not the next episode's first
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(environment.action_space.sample())


def test_options_reach_the_environment_and_wrong_ones_are_named() -> None:
    assert make_copies("mtctl/Sliding-v0", 2, {"velocity_angle": False}).observations.shape == (2, 10)
    assert gymnasium.make("mtctl/Topology-v0", nodes=4).observation_space.shape == (29,)
    with pytest.raises(MtctlError, match=r"environment moving: .*'speed'"):
        make_copies("moving", 2, {"speed": 1})
    with pytest.raises(MtctlError, match="environment topology: 1 nodes: there must be 2 to 128"):
        make_copies("topology", 2, {"nodes": 1})


def test_a_slip_in_the_name_is_recognised() -> None:
    with pytest.raises(MtctlError, match="there is no environment mooving") as found:
        make_copies("mooving", 2)
    assert found.value.hint is not None
    assert "did you mean `moving`?" in found.value.hint
