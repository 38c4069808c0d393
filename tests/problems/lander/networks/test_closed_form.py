from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mtctl.problems.lander.networks.closed_form import QNetwork
from tests.problems.lander import peer
from tests.problems.lander.landers import ENCODINGS

SIZES = (8, 256, 128, 4)


def network(tasks: int = 3, seed: int = 0, **options: Any) -> QNetwork:
    return QNetwork(tasks, SIZES, generator=torch.Generator().manual_seed(seed), **options)


NETWORKS: list[dict[str, Any]] = [*({"encoding": encoding} for encoding in ENCODINGS), {"independent": True}]
FORMS: list[dict[str, Any]] = [
    {"layer_norm": norm, "dueling": dueling, **options}
    for norm, dueling in ((True, False), (False, True), (True, True))
    for options in ({}, {"encoding": "embedding"}, {"independent": True})
]


@pytest.mark.parametrize("options", [*NETWORKS, *FORMS], ids=str)
def test_values_are_those_of_a_plain_network(options: dict[str, Any]) -> None:
    found = network(**options)
    state = found.state_dict()
    weights = state["parameters"].double(), state["codes"].double()
    observations = torch.randn(15, 8, generator=torch.Generator().manual_seed(1))
    values = found.forward(observations, (5, 5, 5))
    for task in range(3):
        rows = slice(5 * task, 5 * task + 5)
        form = {name: options.get(name, False) for name in ("layer_norm", "dueling")}
        expected = peer.values(weights, task, observations[rows].double(), SIZES, **form)
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


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_initial_values_of_other_forms(options: dict[str, Any]) -> None:
    found = network(**options)
    flat, start = found.state_dict()["parameters"], 0
    streams = 2 if options["dueling"] else 1
    inputs = 8 + found.codes.shape[1]
    for fan_in, units in ((inputs, 256), (256, streams * 128), (128, 4), *([(128, 1)] * (streams - 1))):
        weights = flat[:, start : start + fan_in * units]
        assert weights.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.3 if units == 1 else 0.12)
        start += fan_in * units
        assert not flat[:, start : start + units].any()
        start += units
        if options["layer_norm"] and units > 4:
            assert (flat[:, start : start + units] == 1).all()
            assert not flat[:, start + units : start + 2 * units].any()
            start += 2 * units
    assert start == flat.shape[1]


@pytest.mark.usefixtures("_in_double_precision")
@pytest.mark.parametrize("counts", [(5, 5, 5), (9, 0, 6), (0, 0, 7)], ids=str)
@pytest.mark.parametrize("options", [*NETWORKS, *FORMS], ids=str)
def test_the_backward_pass_is_autograd_s_to_the_last_digits(
    options: dict[str, Any], counts: tuple[int, ...]
) -> None:
    if options.get("independent") and counts == (9, 0, 6):
        counts = (0, 6, 6)  # networks of their own get as many rows each
    found = QNetwork(3, (8, 12, 6, 4), generator=torch.Generator().manual_seed(0), **options)
    generator = torch.Generator().manual_seed(1)
    found.parameters.add_(torch.randn(found.parameters.shape, generator=generator), alpha=0.2)
    observations = torch.randn(sum(counts), 8, generator=generator)
    delta = torch.randn(sum(counts), 4, generator=generator)
    weights = found.parameters.clone().requires_grad_(), found.codes.clone().requires_grad_()
    form = {name: options.get(name, False) for name in ("layer_norm", "dueling")}

    q = found.forward(observations, counts).clone()
    jacobian, codes = found.backward(observations, delta.clone(), counts)
    start = 0
    for task, count in enumerate(counts):
        rows = slice(start, start + count)
        start += count
        if not count:
            assert not jacobian[task].any()
            continue
        expected = peer.values(weights, task, observations[rows], (8, 12, 6, 4), **form)
        torch.testing.assert_close(q[rows], expected.detach(), rtol=1e-10, atol=1e-10)
        by_parameters, by_codes = torch.autograd.grad(expected, weights, delta[rows], materialize_grads=True)
        own = by_parameters[task if found.copies > 1 else 0]
        torch.testing.assert_close(jacobian[task], own, rtol=1e-9, atol=1e-10)
        if codes:
            torch.testing.assert_close(codes[0][task], by_codes[task], rtol=1e-9, atol=1e-10)


def test_seeds_decide_initial_values() -> None:
    assert torch.equal(network(seed=1).parameters, network(seed=1).parameters)
    assert not torch.equal(network(seed=1).parameters, network(seed=2).parameters)
