from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mtctl.problems.lander.replay import Batch, Replay

RINGS = pytest.mark.parametrize("rings", [1, 3])


def replay(
    rings: int = 3, capacity: int = 12, starts: int = 1, seed: int = 0, *, mirrored: bool = False
) -> Replay:
    generator = torch.Generator().manual_seed(seed)
    return Replay(3, rings, capacity, (starts,) * rings, generator, mirrored=mirrored)


def add(memory: Replay, task: int, number: int) -> None:
    """Store a transition all of whose entries tell its number."""
    observation = np.full(8, number, np.float32)
    memory.add(task, observation, number % 4, -float(number), observation + 0.5, number / 1024)


def numbers(batch: Batch) -> list[int]:
    """Return the transitions' numbers, after checking that every entry came along."""
    found = batch.observations[:, 0]
    assert torch.equal(batch.observations, found.unsqueeze(1).expand(-1, 8))
    assert torch.equal(batch.next_observations, batch.observations + 0.5)
    assert torch.equal(batch.actions, found.long().unsqueeze(1) % 4)
    assert torch.equal(batch.rewards, -found)
    assert torch.equal(batch.bootstraps, found / 1024)
    return [int(number) for number in found]


@RINGS
@given(tasks=st.lists(st.integers(0, 2), min_size=1, max_size=60), capacity=st.integers(3, 20))
def test_rings_hold_the_latest(rings: int, tasks: list[int], capacity: int) -> None:
    memory = replay(rings, capacity)
    expected = [deque[int](maxlen=capacity // rings) for _ in range(rings)]
    for number, task in enumerate(tasks):
        add(memory, task, number)
        expected[task if rings > 1 else 0].append(number)
    stored = memory.state_dict()["rings"]
    assert [sorted(int(row[0]) for row in ring) for ring in stored] == [sorted(ring) for ring in expected]
    if memory.ready():
        seen = numbers(memory.sample(200))
        assert set(seen) <= {number for ring in expected for number in ring}


@given(tasks=st.lists(st.integers(0, 2), min_size=1, max_size=40), size=st.integers(1, 50))
def test_mixed_batches_are_grouped_by_task(tasks: list[int], size: int) -> None:
    memory = replay(rings=1, capacity=30)
    for number, task in enumerate(tasks):
        add(memory, task, number)
    batch = memory.sample(size)
    owners = [tasks[number] for number in numbers(batch)]
    assert owners == sorted(owners)
    assert batch.counts == tuple(owners.count(task) for task in range(3))
    assert sum(batch.counts) == size


def test_batches_of_each_task_and_of_one() -> None:
    memory = replay()
    for number in range(30):
        add(memory, number % 3, number)
    every, one = memory.sample(64), memory.sample(64, task=1)
    assert every.counts == (64, 64, 64)
    assert [number % 3 for number in numbers(every)] == [0] * 64 + [1] * 64 + [2] * 64
    assert one.counts == (0, 64, 0)
    assert {number % 3 for number in numbers(one)} == {1}


@RINGS
def test_draws_are_uniform(rings: int) -> None:
    """Seeded, so that a p-value of 0.001 is not met by chance; rings are full and have been overwritten."""
    memory = replay(rings, capacity=30)
    for number in range(100):
        add(memory, number % 3, number)
    seen = [number for _ in range(300) for number in numbers(memory.sample(100))]
    counts = np.unique(seen, return_counts=True)
    assert sorted(counts[0]) == list(range(70, 100))
    assert chisquare(counts[1]).pvalue > 0.001


def test_learning_starts_with_every_ring() -> None:
    memory = replay(capacity=30, starts=2)
    for number, task in enumerate([0, 0, 0, 1, 1, 2]):
        add(memory, task, number)
        assert not memory.ready()
    assert [memory.ready(task) for task in range(3)] == [True, True, False]
    add(memory, 2, 6)
    assert memory.ready()


def test_learning_starts_with_the_whole_of_a_mixed_buffer() -> None:
    memory = replay(rings=1, capacity=30, starts=3)
    for number in range(3):
        assert not memory.ready()
        add(memory, 0, number)
    assert memory.ready()


@RINGS
@given(before=st.integers(3, 40), after=st.integers(0, 40))
def test_restored_replay_goes_on_as_if_nothing_had_happened(rings: int, before: int, after: int) -> None:
    original, restored = replay(rings), replay(rings)
    for number in range(before):
        add(original, number % 3, number)
    restored.load_state_dict(original.state_dict())
    for number in range(before, before + after):
        for memory in (original, restored):
            add(memory, number % 3, number)
    assert torch.equal(original.sample(50).rows, restored.sample(50).rows)


def test_stored_state_does_not_change_with_what_is_added_later() -> None:
    memory = replay()
    for number in range(12):
        add(memory, number % 3, number)
    state = memory.state_dict()
    kept = [ring.clone() for ring in state["rings"]]
    for number in range(12, 24):
        add(memory, number % 3, number)
    assert all(map(torch.equal, state["rings"], kept))


@RINGS
@given(tasks=st.lists(st.integers(0, 2), min_size=1, max_size=30), size=st.integers(1, 20))
def test_every_second_row_is_seen_in_a_mirror(rings: int, tasks: list[int], size: int) -> None:
    """The same draws otherwise, and what is stored stays as it is."""
    plain, memory = (replay(rings, 60, mirrored=mirrored) for mirrored in (False, True))
    for number, task in enumerate([*range(3), *tasks]):
        observation = np.arange(1, 9, dtype=np.float32) + 10 * number
        for each in (plain, memory):
            each.add(task, observation, number % 4, float(number), observation + 0.5, 0.9)
    before = [ring.clone() for ring in memory.state_dict()["rings"]]
    expected, found = plain.sample(size), memory.sample(size)
    assert all(map(torch.equal, before, memory.state_dict()["rings"]))
    assert torch.equal(found.rows[1::2], expected.rows[1::2])
    assert torch.equal(found.rewards, expected.rewards)
    assert torch.equal(found.bootstraps, expected.bootstraps)
    assert found.counts == expected.counts
    left_for_right = {0: 0, 1: 3, 2: 2, 3: 1}
    assert found.actions[::2].flatten().tolist() == [
        left_for_right[action] for action in expected.actions[::2].flatten().tolist()
    ]
    for ours, theirs in (
        (found.observations[::2], expected.observations[::2]),
        (found.next_observations[::2], expected.next_observations[::2]),
    ):
        x, y, vx, vy, angle, turning, left, right = theirs.unbind(1)
        assert torch.equal(ours, torch.stack([-x, y, -vx, vy, -angle, -turning, right, left], 1))
