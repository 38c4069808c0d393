"""Replay by priority: how often rows are drawn, what makes up for it, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtctl.problems.lander.agents import Priority
from mtctl.problems.lander.priorities import Priorities
from mtctl.problems.lander.replay import REWARD, TASK, Replay
from tests.problems.lander.landers import SMALL, fill, lander, learn

EXACT = Priority(alpha=1.0, epsilon=1e-9)


def tree(priority: Priority, values: list[list[float]], capacity: int) -> Priorities:
    """Return the priorities of rings whose rows have had these errors."""
    found = Priorities(priority, len(values), capacity)
    for ring, errors in enumerate(values):
        places = torch.arange(len(errors)) + ring * capacity
        for place in places.tolist():
            found.add(place)
        found.revise(places, torch.tensor(errors))
    return found


def drawn(of: Priorities, sizes: list[int], count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.rand(len(sizes), count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return of.draw(range(len(sizes)), draws, np.array(sizes))


@given(
    values=st.lists(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=9), min_size=1, max_size=3),
    alpha=st.sampled_from([0.0, 0.6, 1.0]),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_rows_are_drawn_as_often_as_their_priorities_say(
    values: list[list[float]], alpha: float, seed: int
) -> None:
    """Each of N equal stretches gives one draw, so that a row's share is met within two draws."""
    priority, capacity, count = Priority(alpha=alpha, epsilon=1e-3), 9, 200
    sizes = [len(errors) for errors in values]
    places, chances = drawn(tree(priority, values, capacity), sizes, count, seed)
    for ring, errors in enumerate(values):
        wanted = (np.array(errors, dtype=np.float64) + 1e-3) ** alpha
        shares = wanted / wanted.sum()
        rows = (places[ring] - ring * capacity).numpy()
        assert rows.min() >= 0
        assert rows.max() < len(errors)
        assert (np.abs(np.bincount(rows, minlength=len(errors)) - count * shares) <= 2).all()
        np.testing.assert_allclose(chances[ring].numpy(), len(errors) * shares[rows], rtol=1e-6)


def test_signs_of_errors_do_not_count() -> None:
    one, other = (tree(EXACT, [errors], 4) for errors in ([1.0, -3.0], [-1.0, 3.0]))
    assert all(map(torch.equal, drawn(one, [2], 50), drawn(other, [2], 50)))


def test_a_new_row_has_the_largest_priority_that_its_ring_has_seen() -> None:
    found = tree(EXACT, [[2.0, 8.0], [50.0]], 4)
    found.revise(torch.tensor([1]), torch.tensor([1.0]))
    found.add(2)
    # 2, 1 and 8, as the 8 of before; the other ring's 50 is not its business.
    _, chances = drawn(found, [3, 1], 1100)
    assert sorted({round(chance * 11 / 3, 6) for chance in chances[0].tolist()}) == [1.0, 2.0, 8.0]


def test_an_error_that_is_not_finite_changes_nothing() -> None:
    found = tree(EXACT, [[2.0, 8.0]], 4)
    before = drawn(found, [2], 50)
    found.revise(torch.tensor([0, 1]), torch.tensor([3.0, torch.nan]))
    assert all(map(torch.equal, before, drawn(found, [2], 50)))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_what_is_restored_draws_the_same_rows_to_the_last_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    original = tree(Priority(), [rng.gamma(1.0, size=7).tolist(), rng.gamma(1.0, size=5).tolist()], 7)
    for _ in range(30):
        places = torch.from_numpy(rng.integers(5, size=4) + 7 * rng.integers(2, size=4))
        original.revise(places.unique(), torch.from_numpy(rng.gamma(0.3, size=len(places.unique()))))
    original.add(3)
    restored = Priorities(Priority(), 2, 7)
    restored.load_state_dict(original.state_dict([7, 5]))
    for draw in range(3):
        assert all(map(torch.equal, drawn(original, [7, 5], 64, draw), drawn(restored, [7, 5], 64, draw)))
    original.add(9)
    restored.add(9)
    assert all(map(torch.equal, drawn(original, [7, 5], 64), drawn(restored, [7, 5], 64)))


def replay(rings: int, rows: list[int], priority: Priority = EXACT) -> Replay:
    """Return replay with rows of each task that are numbered by their rewards."""
    found = Replay(len(rows), rings, 60, (1,) * rings, torch.Generator().manual_seed(0), priority)
    for row in range(max(rows)):
        for task in (task for task, count in enumerate(rows) if row < count):
            found.add(task, np.zeros(8, np.float32), 0, float(row), np.zeros(8, np.float32), 0.0)
    return found


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("rings", [1, 3])
def test_factors_make_up_for_how_often_rows_are_drawn(rings: int, beta: float) -> None:
    found = replay(rings, [8, 8, 8])
    for _ in range(120):  # until every row has an error of its own: 1 + its number, 1 + twice it, …
        batch = found.sample(16, beta=beta)
        found.learned(batch, 1 + batch.rewards * (1 + batch.rows[:, TASK]))
    batch = found.sample(64, beta=beta)
    assert batch.weights is not None
    assert batch.rows[:, TASK].tolist() == sorted(batch.rows[:, TASK].tolist())
    errors = 1 + batch.rewards * (1 + batch.rows[:, TASK])
    expected = errors.double() ** -beta
    if rings == 1:
        expected /= expected.max()
    else:
        expected = torch.cat([part / part.max() for part in expected.split(batch.counts)])
    torch.testing.assert_close(batch.weights.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("rings", "task"), [(1, None), (3, None), (3, 1)])
def test_batches_are_as_many_rows_of_each_task_as_without_priorities(rings: int, task: int | None) -> None:
    found = replay(rings, [8, 5, 3])
    batch = found.sample(16, task)
    assert batch.rows[:, TASK].long().bincount(minlength=3).tolist() == list(batch.counts)
    assert sum(batch.counts) == (48 if rings == 3 and task is None else 16)
    if task is not None:
        assert batch.counts == (0, 16, 0)
        assert set(batch.rows[:, TASK].tolist()) == {1.0}


def test_rows_that_are_overwritten_are_gone() -> None:
    found = replay(1, [70])
    batch = found.sample(600)
    assert set(batch.rows[:, REWARD].long().tolist()) == set(range(10, 70))


def test_without_exponent_every_row_is_as_likely_as_any_and_weighs_1() -> None:
    found = replay(1, [20], Priority(alpha=0.0))
    batch = found.sample(20)
    found.learned(batch, torch.arange(20.0))
    batch = found.sample(20)
    assert batch.weights is not None
    assert (batch.weights == 1).all()
    assert batch.rewards.tolist() == list(range(20))


@pytest.mark.parametrize("kind", ["per_task", "mixed"])
def test_a_lander_replays_what_surprises_it(kind: str) -> None:
    surprise = {}
    for priority in (None, {"alpha": 1.0}):
        replay = {"kind": kind, "learning_starts": 1, "priority": priority}
        problem = lander(hidden=SMALL, replay=replay, lr=1e-6)
        fill(problem, 100)
        for _ in range(60):
            learn(problem)
        errors = problem.dqn.gradients(problem.replay.sample(256)).errors
        surprise[priority is not None] = float(errors.abs().mean())
    assert surprise[True] > 1.3 * surprise[False]
