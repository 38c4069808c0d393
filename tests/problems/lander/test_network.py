from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mtctl.problems.lander.network import QNetwork
from tests.problems.lander import peer
from tests.problems.lander.landers import ENCODINGS

SIZES = (8, 256, 128, 4)


def network(tasks: int = 3, seed: int = 0, **options: Any) -> QNetwork:
    return QNetwork(tasks, SIZES, generator=torch.Generator().manual_seed(seed), **options)


NETWORKS: list[dict[str, Any]] = [*({"encoding": encoding} for encoding in ENCODINGS), {"independent": True}]


@pytest.mark.parametrize("options", NETWORKS, ids=str)
def test_values_are_those_of_a_plain_network(options: dict[str, Any]) -> None:
    found = network(**options)
    state = found.state_dict()
    weights = state["parameters"].double(), state["codes"].double()
    observations = torch.randn(15, 8, generator=torch.Generator().manual_seed(1))
    values = found.forward(observations, (5, 5, 5))
    for task in range(3):
        rows = slice(5 * task, 5 * task + 5)
        expected = peer.values(weights, task, observations[rows].double(), SIZES)
        torch.testing.assert_close(values[rows].double(), expected, rtol=1e-4, atol=1e-5)
        for row in range(rows.start, rows.stop):
            assert found.act(observations[row].clone(), task) == expected[row % 5].argmax()


def test_what_tells_a_network_its_task() -> None:
    assert network(encoding="none").codes.shape == (3, 0)
    assert network(encoding="raw_id").codes.tolist() == [[0.0], [1.0], [2.0]]
    assert network(encoding="onehot").codes.tolist() == torch.eye(3).tolist()
    embedding = network(2000, encoding="embedding", embedding_dim=5).codes
    assert embedding.shape == (2000, 5)
    assert embedding.std().item() == pytest.approx(0.1, rel=0.05)
    assert embedding.mean().item() == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("encoding", "sees"), [("none", False), *((name, True) for name in ENCODINGS[1:])])
def test_a_shared_network_tells_tasks_apart_by_their_code_only(encoding: str, sees: bool) -> None:
    found = network(encoding=encoding)
    same = torch.ones(3, 8)
    values = found.forward(same, (1, 1, 1))
    assert torch.allclose(values[0], values[1]) != sees
    assert torch.allclose(values[1], values[2]) != sees


@pytest.mark.parametrize("options", NETWORKS, ids=str)
def test_initial_values(options: dict[str, Any]) -> None:
    """He-normal: variance 2/fan-in; zero biases."""
    found = network(**options)
    flat, start = found.state_dict()["parameters"], 0
    for inputs, units in ((8 + found.codes.shape[1], 256), (256, 128), (128, 4)):
        weights = flat[:, start : start + inputs * units]
        assert weights.std().item() == pytest.approx(math.sqrt(2 / inputs), rel=0.12)
        start += inputs * units
        assert not flat[:, start : start + units].any()
        start += units
    assert start == flat.shape[1]
    if found.copies > 1:
        assert not torch.equal(flat[0], flat[1])


def test_seeds_decide_initial_values() -> None:
    assert torch.equal(network(seed=1).parameters, network(seed=1).parameters)
    assert not torch.equal(network(seed=1).parameters, network(seed=2).parameters)
