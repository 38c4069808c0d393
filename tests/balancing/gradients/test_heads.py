"""One pass through all heads finds what passes from each loss find, and says which way it took."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from mtctl.balancing.gradients.arriving import Factored
from mtctl.balancing.gradients.gathered import Gathered
from mtctl.balancing.gradients.heads import through_heads
from tests.balancing.gradients.models import (
    Case,
    entangled,
    layers_with_a_past,
    mlp,
    no_layers,
    single_outputs,
    two_features,
)

LAYERS = "one pass for all heads, to the layers that read the features"


@pytest.mark.parametrize(
    ("make", "how", "kind"),
    [
        (mlp, LAYERS, Factored),
        (two_features, LAYERS, Factored),
        (single_outputs, LAYERS, Factored),
        (layers_with_a_past, LAYERS, Factored),
        (no_layers, "one pass for all heads", Gathered),
        (entangled, "one pass per head: UnbindBackward0 is in the heads of two tasks", Gathered),
    ],
)
def test_each_model_takes_the_shortest_way_that_is_right(
    make: Callable[[], Case], how: str, kind: type
) -> None:
    torch.manual_seed(0)
    case = make()
    made = case.make()
    losses = dict(enumerate(made.losses.values()))
    found = through_heads(losses, case.own, made.features)
    assert found.how == how
    for feature, arriving in zip(made.features, found.arriving, strict=True):
        assert type(arriving) is kind
        assert arriving.size == feature.numel()
        for task, loss in losses.items():
            (alone,) = torch.autograd.grad(loss, feature, retain_graph=True, allow_unused=True)
            expected = torch.zeros_like(feature) if alone is None else alone
            torch.testing.assert_close(arriving.rows([task])[0], expected, rtol=1e-5, atol=1e-7)
            assert (task in arriving.tasks) == (alone is not None)
    for task, loss in losses.items():
        expected_own = torch.autograd.grad(loss, case.own[task], retain_graph=True, allow_unused=True)
        for one, alone in zip(case.own[task], expected_own, strict=True):
            torch.testing.assert_close(found.own.get(one), alone, rtol=1e-5, atol=1e-7)


def test_a_loss_that_is_a_feature_itself() -> None:
    weight = nn.Parameter(torch.ones(3))
    features = weight.square().sum()
    found = through_heads({0: features, 1: 2 * features}, [[], []], [features])
    assert found.how == "one pass per head: a loss is a feature itself"
    assert found.arriving[0].rows([0, 1]).tolist() == [1.0, 2.0]


def test_a_parameter_that_no_loss_uses_has_no_gradient() -> None:
    torch.manual_seed(0)
    case = single_outputs()
    made = case.make()
    idle = nn.Parameter(torch.ones(2))
    own = [[*case.own[0], idle], *case.own[1:]]
    found = through_heads(dict(enumerate(made.losses.values())), own, made.features)
    assert idle not in found.own
    assert all(one in found.own for one in case.own[0])


def test_hooks_are_gone_afterwards() -> None:
    torch.manual_seed(0)
    case = no_layers()
    made = case.make()
    losses = dict(enumerate(made.losses.values()))
    first = through_heads(losses, case.own, made.features).arriving[0].rows(range(3)).clone()
    again = through_heads(losses, case.own, made.features).arriving[0].rows(range(3))
    assert torch.equal(first, again)


def test_without_features_own_gradients_are_all_there_is() -> None:
    torch.manual_seed(0)
    case = mlp()
    losses = dict(enumerate(case.make().losses.values()))
    found = through_heads(losses, case.own, [])
    assert found.arriving == ()
    for task, loss in losses.items():
        expected = torch.autograd.grad(loss, case.own[task], retain_graph=True)
        for one, alone in zip(case.own[task], expected, strict=True):
            torch.testing.assert_close(found.own[one], alone)
