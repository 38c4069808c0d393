"""What replay stores of an episode: n-step returns and bootstraps, against the definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problems.lander.landers import Script, independent, play_episode, scripted

rewards = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=12)


def expected(script: Script, n: int, gamma: float) -> list[tuple[int, int, float, float]]:
    """Return (first observation, next observation, return, bootstrap) of each step, by the definition."""
    length, rows = len(script.rewards), []
    for first in range(length):
        steps = min(n, length - first)
        total = sum(gamma**k * script.rewards[first + k] for k in range(steps))
        over = first + steps == length and script.terminated
        rows.append((first, first + steps, total, 0.0 if over else gamma**steps))
    return rows


@settings(deadline=None, max_examples=60)
@given(
    rewards=rewards,
    terminated=st.booleans(),
    n=st.integers(1, 15),
    gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
)
def test_stored_transitions(rewards: list[float], terminated: bool, n: int, gamma: float) -> None:
    script = Script(tuple(rewards), terminated)
    with pytest.MonkeyPatch.context() as patch:
        problem = scripted(
            patch,
            script,
            tasks=["windy"],
            n_step=n,
            gamma=gamma,
            replay={"capacity": 64, "learning_starts": 1},
        )
    for _ in range(2):
        record = play_episode(problem)
    assert record["tasks"]["windy"]["return"] == pytest.approx(sum(rewards))
    assert record["tasks"]["windy"]["steps"] == len(rewards)
    (rows,) = problem.state_dict()["replay"]["rings"]
    assert rows.dtype == torch.float32
    found = [(int(row[0]), int(row[8]), float(row[17]), float(row[18])) for row in rows]
    wanted = expected(script, n, gamma) * 2
    assert [row[:2] for row in found] == [row[:2] for row in wanted]
    assert [row[2:] for row in found] == [pytest.approx(row[2:], rel=1e-5, abs=1e-4) for row in wanted]


@pytest.mark.parametrize(
    ("terminated", "bootstraps"), [(True, [0.9**2, 0.0, 0.0]), (False, [0.9**2, 0.9**2, 0.9])]
)
def test_only_a_terminal_step_stops_the_bootstrap(
    monkeypatch: pytest.MonkeyPatch, terminated: bool, bootstraps: list[float]
) -> None:
    """A time limit is no end of the world: what would have come is estimated."""
    problem = scripted(monkeypatch, Script((1.0, 2.0, 3.0), terminated), tasks=["heavy"], n_step=2, gamma=0.9)
    play_episode(problem)
    (rows,) = problem.state_dict()["replay"]["rings"]
    assert rows[:, 18].tolist() == pytest.approx(bootstraps)
    assert rows[:, 17].tolist() == pytest.approx([1 + 0.9 * 2, 2 + 0.9 * 3, 3.0])


def test_each_task_stores_into_its_own_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = scripted(monkeypatch, Script((1.0, 2.0)), **independent(n_step=3))
    for _ in range(4):
        play_episode(problem)
    rings = problem.state_dict()["replay"]["rings"]
    assert [len(ring) for ring in rings] == [4, 2, 2]
    assert [set(ring[:, 19].tolist()) for ring in rings] == [{0.0}, {1.0}, {2.0}]
