"""Gradients of scaled losses are shown and combined as those of the losses themselves, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mtctl.balancing.gradients import AutogradGradients
from mtctl.balancing.gradients.accumulated import AccumulatedGradients
from mtctl.balancing.gradients.scaled import Combinable, Overflow, ScaledGradients

TASKS = ("a", "b")
HEADED = torch.tensor([True, True])
Asked = Callable[[ScaledGradients], object]


class Shared:
    """Two heads on a trunk, with losses that do not depend on any factor."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        self.trunk, self.heads = nn.Linear(4, 5), [nn.Linear(5, 1), nn.Linear(5, 2)]
        self.inputs = torch.randn(8, 4, generator=draw)
        self.parts = [[*head.parameters()] for head in self.heads]

    def losses(self, *factors: float) -> dict[str, Tensor]:
        features = self.trunk(self.inputs).relu()
        answers = zip(TASKS, self.heads, factors, strict=True)
        return {task: head(features).square().mean() * factor for task, head, factor in answers}

    def gradients(self, kind: str, *factors: float) -> Combinable:
        shared = [*self.trunk.parameters()]
        told = {"shared": shared, "own": self.parts, "last_shared": shared}
        if kind == "accumulated":
            return AccumulatedGradients(TASKS, [self.losses(*factors)], **told)  # type: ignore[arg-type]
        return AutogradGradients(TASKS, self.losses(*factors), **told)  # type: ignore[arg-type]

    @property
    def combined(self) -> list[Tensor]:
        leaves = [*self.trunk.parameters(), *(one for part in self.parts for one in part)]
        return [leaf.grad.clone() for leaf in leaves if leaf.grad is not None]


@pytest.mark.parametrize("kind", ["autograd", "accumulated"])
@pytest.mark.parametrize("scale", [2.0**16, 2.0**-3])
def test_a_power_of_two_changes_no_digit(kind: str, scale: float) -> None:
    problem = Shared()
    plain = problem.gradients(kind, 1.0, 1.0)
    scaled = ScaledGradients(problem.gradients(kind, scale, scale), scale, HEADED)
    assert torch.equal(scaled.losses, plain.losses)
    for space in ("all_shared", "last_shared"):
        assert torch.equal(scaled.gramian(space), plain.gramian(space))
        assert torch.equal(scaled.norms(space), plain.norms(space))
    assert torch.equal(scaled.own_norms(), plain.own_norms())
    found = []
    for gradients in (plain, scaled):
        gradients.combine(torch.tensor([0.5, 2.0]).double(), torch.tensor([1.0, 3.0]).double())
        found.append(problem.combined)
    assert len(found[0]) == 6
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize(
    "ask",
    [
        lambda gradients: gradients.gramian("all_shared"),
        lambda gradients: gradients.norms("all_shared"),
        lambda gradients: gradients.own_norms(),
        lambda gradients: gradients.combine(torch.ones(2).double(), torch.ones(2).double()),
    ],
    ids=["gramian", "norms", "own norms", "combine"],
)
@pytest.mark.parametrize("kind", ["autograd", "accumulated"])
def test_gradients_that_overflow_are_shown_to_nobody(kind: str, ask: Asked) -> None:
    gradients = ScaledGradients(Shared().gradients(kind, torch.inf, 1.0), 1.0, HEADED)
    with pytest.raises(Overflow) as caught:
        ask(gradients)
    assert caught.value.gradients.overflowing() == [0]


def test_a_task_without_own_parameters_is_no_overflow() -> None:
    problem = Shared()
    losses = {"a": problem.trunk(problem.inputs).sum(), "b": problem.losses(1.0, 1.0)["b"]}
    shared = [*problem.trunk.parameters()]
    own = [[], problem.parts[1]]
    inner = AutogradGradients(TASKS, losses, shared=shared, own=own, last_shared=shared)
    norms = ScaledGradients(inner, 4.0, torch.tensor([False, True])).own_norms()
    assert norms[0].isnan() and norms[1].isfinite()
