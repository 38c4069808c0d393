"""Windows problems side by side: losses and gradients are those that each has alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtctl.balancing.contract import Space
from mtctl.errors import MtctlError
from mtctl.problems.windows.problem import Windows
from mtctl.problems.windows.recurrent import one_by_one, together
from mtctl.problems.windows.stacked import StackedWindows, WindowsStack
from tests.engine.runs import WINDOWS

SEEDS = (0, 4, 7)
SPACES: tuple[Space, ...] = ("all_shared", "last_shared", "features")


def pair() -> tuple[WindowsStack, list[StackedWindows], list[Windows]]:
    """Return a stack with its problems, and the same ones alone, each with its first batch."""
    stack = WindowsStack()
    stacked = [stack.add(WINDOWS, seed)[1] for seed in SEEDS]
    alone = [Windows(WINDOWS.problem, WINDOWS.model, WINDOWS.training, seed) for seed in SEEDS]
    for one in (*stacked, *alone):
        one.advance()
    stack.differentiate(range(len(SEEDS)))
    return stack, stacked, alone


@pytest.mark.parametrize("space", SPACES)
def test_losses_and_gradients_are_each_one_s(space: Space) -> None:
    _, stacked, alone = pair()
    for one, other in zip(stacked, alone, strict=True):
        found, expected = one.gradients(), other.gradients()
        assert torch.allclose(found.losses, expected.losses, rtol=1e-6)
        assert torch.allclose(found.norms(space), expected.norms(space), rtol=1e-4, atol=1e-7)
        assert torch.allclose(found.gramian(space), expected.gramian(space), rtol=1e-4, atol=1e-7)
        assert torch.allclose(found.norms(space), expected.norms(space), rtol=1e-4, atol=1e-7)
        assert torch.allclose(found.own_norms(), expected.own_norms(), rtol=1e-4)


@pytest.mark.parametrize("asked", [None, *SPACES])
@pytest.mark.parametrize("apart", [False, True])
def test_combined_gradients_are_each_one_s(asked: Space | None, apart: bool) -> None:
    """Whatever was asked before, and whether or not the tasks' own parameters have other weights."""
    stack, stacked, alone = pair()
    whole = stack.gradients
    assert whole is not None
    shared = torch.rand(len(SEEDS), 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    own = torch.ones_like(shared) if apart else shared
    if asked is not None:
        whole.gramian(asked)
    whole.combine(shared, own)
    assert whole.finite().tolist() == [True] * len(SEEDS)
    stack.update(range(len(SEEDS)))
    for row, (one, other) in enumerate(zip(stacked, alone, strict=True)):
        gradients = other.gradients()
        gradients.combine(shared[row], own[row])
        other.update()
        assert torch.allclose(one.revisit(), other.revisit(), rtol=1e-5)
        for name, value in other.policy_state().items():
            assert torch.allclose(one.policy_state()[name], value, atol=1e-5), name


def test_a_gradient_that_is_not_finite_is_one_run_s() -> None:
    stack, _, _ = pair()
    assert stack.gradients is not None
    weights = torch.ones(len(SEEDS), 4, dtype=torch.float64)
    weights[1, 2] = torch.inf
    stack.gradients.combine(weights, weights)
    assert stack.gradients.finite().tolist() == [True, False, True]


def test_evaluations_for_all_are_each_one_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where all answer at once."""
    stack, stacked, _ = pair()
    split = stacked[0].splits.held_out
    for place, one in enumerate(stacked):
        found = stack.answers(place, "held_out", split.inputs)
        assert found is not None
        for task, raw in one.raw(split.inputs).items():
            assert torch.allclose(found[task], raw, atol=1e-6)
    monkeypatch.setattr("mtctl.problems.windows.stacked._ROWS", 3)
    stack.update(range(3))  # what was answered before is not what is answered now
    found = stack.answers(2, "held_out", split.inputs)
    assert found is not None
    assert torch.allclose(found["ptr"], stacked[2].raw(split.inputs)["ptr"], atol=1e-6)


def test_all_lstms_in_one_product_are_torch_s_own() -> None:
    """The way of GPUs, which is slower on a CPU: outputs, and gradients of weights and inputs."""
    torch.manual_seed(0)
    own = [nn.LSTM(5, 7, batch_first=True, bidirectional=True) for _ in range(3)]
    weights = [
        torch.stack([one.detach() for one in same]).requires_grad_()
        for same in zip(*(lstm.parameters() for lstm in own), strict=True)
    ]
    inputs = torch.randn(3, 4, 11, 5, requires_grad=True)
    arriving = torch.randn(3, 4, 11, 14)
    expected = torch.stack([lstm(rows)[0] for lstm, rows in zip(own, inputs, strict=True)])
    for found in (one_by_one(inputs, weights), together(inputs, weights)):
        assert torch.allclose(found, expected, atol=1e-6)
        slopes = torch.autograd.grad(found, [inputs, *weights], arriving)
        ours = torch.autograd.grad(
            expected,
            [inputs, *(one for lstm in own for one in lstm.parameters())],
            arriving,
            retain_graph=True,
        )
        assert torch.allclose(slopes[0], ours[0], atol=1e-5)
        for place, slope in enumerate(slopes[1:]):
            single = torch.stack([ours[1 + place + 8 * run] for run in range(3)])
            assert torch.allclose(slope, single, atol=1e-5)


def test_recipes_with_parts_of_their_own_are_refused() -> None:
    class Planted(type(WINDOWS)):  # type: ignore[misc]
        pass

    with pytest.raises(MtctlError, match="cannot be trained together"):
        WindowsStack().add(Planted.model_validate(WINDOWS.model_dump(mode="json")), 0)
