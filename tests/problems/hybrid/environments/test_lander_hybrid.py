from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.box2d.lunar_lander import LunarLander

from mtctl.problems.hybrid.environments.lander_hybrid import (
    LEFT,
    MAIN,
    NONE,
    RIGHT,
    HybridLander,
    continuous_action,
)
from mtctl.problems.hybrid.environments.making import make_copies


def fuel(engine: int, throttle: float) -> float:
    """Return what a step with this engine costs, besides what it does to the shaping."""
    rewards: list[float] = []
    for action in (continuous_action(engine, throttle), np.zeros(2, np.float32)):
        world = LunarLander(continuous=True)
        world.reset(seed=0)
        before: Any = world.prev_shaping
        reward, after = world.step(action)[1], world.prev_shaping
        assert after is not None
        rewards.append(reward - (after - before))
        world.close()
    return float(rewards[1] - rewards[0])


@pytest.mark.parametrize("throttle", [0.0, 0.01, 0.5, 1.0])
def test_an_engine_has_half_its_power_from_the_first_touch_of_the_throttle(throttle: float) -> None:
    power = (1 + throttle) / 2 if throttle else 0.0
    assert fuel(MAIN, throttle) == pytest.approx(0.30 * power, abs=1e-5)
    assert fuel(LEFT, throttle) == pytest.approx(0.03 * power, abs=1e-5)
    assert fuel(RIGHT, throttle) == pytest.approx(0.03 * power, abs=1e-5)
    assert fuel(NONE, throttle) == pytest.approx(0.0, abs=1e-5)


def test_sides_are_those_of_the_discrete_lander() -> None:
    """At full throttle the engines do what actions 1 to 3 do there."""
    for engine in (NONE, LEFT, MAIN, RIGHT):
        hybrid, discrete = LunarLander(continuous=True), LunarLander()
        hybrid.reset(seed=1)
        discrete.reset(seed=1)
        for _ in range(10):
            seen, peer = hybrid.step(continuous_action(engine, 1.0))[0], discrete.step(engine)[0]
        np.testing.assert_array_equal(seen, peer)


def test_endings_have_the_landers_names() -> None:
    copies = make_copies("lander_hybrid", 1)
    assert copies.outcomes == ("landed", "crashed", "timed_out")
    assert copies.solved == 200.0
    copies.reset([0])
    while not copies.ended[0]:
        copies.step({"engine": np.array([0]), "throttle": np.zeros((1, 1))})
    assert copies.outcomes[copies.outcome[0]] == "crashed"
    assert not copies.success[0]
    copies.close()


def test_the_time_limit_is_a_truncation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtctl.problems.hybrid.environments.lander_hybrid.STEPS", 5)
    lander = gymnasium.make("mtctl/LanderHybrid-v0").unwrapped
    assert isinstance(lander, HybridLander)
    lander.reset(seed=0)
    action = {"engine": 2, "throttle": np.ones(1, np.float32)}
    ends = [lander.step(action)[2:] for _ in range(5)]
    assert ends[3] == (False, False, {})
    assert ends[4] == (False, True, {"outcome": "timed_out", "success": False})
    lander.close()
