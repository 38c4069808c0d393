"""Residual blocks against the same network written out, layer by layer."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.networks.flat import FlatNetwork
from mtctl.problems.lander.networks.registry import builder
from mtctl.problems.lander.values import SCALAR

LAYOUTS = ("prenorm", "bronet")
TOLD = {"task_encoding": "embedding", "embedding_dim": 32}


def agent(hidden: int = 16, told: dict[str, Any] = TOLD, **shape: Any) -> DQNAgent:
    settings = {"architecture": {"kind": "residual", **shape}, "hidden": (hidden,), "double": True}
    return DQNAgent.model_validate({**settings, **told})


def network(seed: int = 0, **options: Any) -> FlatNetwork:
    return builder(agent(**options), 3, SCALAR, torch.Generator().manual_seed(seed))()


def values(parameters: Tensor, code: Tensor, rows: Tensor, *, blocks: int, layout: str, units: int) -> Tensor:
    """Return Q [N, 4] of one task's observations, with numbers taken in the order of the layers."""
    taken = 0

    def take(*shape: int) -> Tensor:
        nonlocal taken
        start, taken = taken, taken + math.prod(shape)
        return parameters[start:taken].view(shape)

    def dense(inputs: Tensor, outputs: int) -> Tensor:
        return inputs @ take(inputs.shape[1], outputs) + take(outputs)

    def norm(inputs: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        return functional.layer_norm(inputs, (units,), gain, shift)

    hidden = torch.cat([rows, (code / code.norm()).expand(len(rows), -1)], 1)
    if layout == "bronet":
        hidden = norm(dense(hidden, units), take(units), take(units)).relu()
        for _ in range(blocks):
            inner = norm(dense(hidden, units), take(units), take(units)).relu()
            hidden = hidden + norm(dense(inner, units), take(units), take(units))
        found = dense(hidden, 4)
    else:
        hidden = dense(hidden, units)
        for _ in range(blocks):
            weight, bias, gain, shift = take(units, units), take(units), take(units), take(units)
            hidden = hidden + dense((norm(hidden, gain, shift) @ weight + bias).relu(), units)
        weight, bias, gain, shift = take(units, 4), take(4), take(units), take(units)
        found = norm(hidden, gain, shift) @ weight + bias
    assert taken == len(parameters)
    return found


@pytest.mark.parametrize(
    ("layout", "blocks", "atoms", "total"),
    [("prenorm", 2, 21, 296_884), ("prenorm", 3, 51, 459_820), ("bronet", 2, 21, 297_908)],
)
def test_parameters_are_those_of_the_study(layout: str, blocks: int, atoms: int, total: int) -> None:
    settings = agent(256, {**TOLD, "categorical": {"atoms": atoms}}, layout=layout, blocks=blocks)
    values = type("Outputs", (), {"width": atoms})()
    found = builder(settings, 3, values, torch.Generator())()
    assert found.count == total
    numbers = settings.architecture.numbers((8, 256, 4 * settings.width), 32)
    assert numbers == (found.parameters.numel(), 0) == (total - 3 * 32, 0)


@pytest.mark.usefixtures("_in_double_precision")
@pytest.mark.parametrize("counts", [(5, 5, 5), (9, 0, 6)], ids=str)
@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_and_gradients_are_those_of_the_layers(
    layout: str, blocks: int, counts: tuple[int, ...]
) -> None:
    found = network(layout=layout, blocks=blocks)
    generator = torch.Generator().manual_seed(1)
    found.parameters.add_(torch.randn(found.parameters.shape, generator=generator), alpha=0.2)
    observations = torch.randn(sum(counts), 8, generator=generator)
    delta = torch.randn(sum(counts), 4, generator=generator)
    learned = found.learn(observations, counts).clone()
    torch.testing.assert_close(found.forward(observations, counts), learned)
    jacobian, (by_code,) = found.backward(observations, delta, counts)
    start = 0
    for task, count in enumerate(counts):
        rows = slice(start, start + count)
        start += count
        if not count:
            assert not jacobian[task].any()
            continue
        weights = found.parameters[0].clone().requires_grad_(), found.codes[task].clone().requires_grad_()
        expected = values(*weights, observations[rows], blocks=blocks, layout=layout, units=16)
        torch.testing.assert_close(learned[rows], expected.detach())
        by_weights, by_own = torch.autograd.grad(expected, weights, delta[rows])
        torch.testing.assert_close(jacobian[task], by_weights, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(by_code[task], by_own, rtol=1e-9, atol=1e-10)
        best = expected.argmax(1)
        assert [found.act(row.clone(), task) for row in observations[rows]] == best.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_start_orthogonal_from_the_generator_alone(layout: str) -> None:
    before = torch.get_rng_state()
    one, same, other = (network(seed, hidden=32, layout=layout) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.parameters, same.parameters)
    assert not torch.equal(one.parameters, other.parameters)
    last = one.parameters[0, one.last_shared()].view(32, 32)
    torch.testing.assert_close(last.T @ last, 2 * torch.eye(32), rtol=0, atol=1e-5)
    first = one.parameters[0, : 40 * 32].view(40, 32)
    torch.testing.assert_close(first.T @ first, 2 * torch.eye(32), rtol=0, atol=1e-5)


@pytest.mark.parametrize("unit", [True, False])
def test_an_embedding_counts_by_its_direction_where_it_has_unit_length(unit: bool) -> None:
    found = network(unit_embedding=unit)
    rows = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    before = found.forward(rows, (2, 2, 2)).clone()
    found.codes.mul_(3.0)
    after = found.forward(rows, (2, 2, 2))
    assert torch.allclose(before, after, atol=1e-5) == unit


def test_other_encodings_stay_as_they_are() -> None:
    found = network(told={"task_encoding": "raw_id"})
    values = found.forward(torch.ones(3, 8), (1, 1, 1))
    assert values.isfinite().all()
    assert len({round(float(row[0]), 4) for row in values}) == 3


def test_blocks_have_one_width() -> None:
    with pytest.raises(ValueError, match=r"hidden: residual blocks have one width: give `hidden` one entry"):
        DQNAgent.model_validate({"architecture": {"kind": "residual"}, "hidden": (256, 128)})
