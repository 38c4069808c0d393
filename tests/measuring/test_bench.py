"""What methods cost: that it is measured, of what; never how much."""

from __future__ import annotations

import pytest
import torch

from mtctl.balancing.contract import Method
from mtctl.balancing.gradients.graph import split
from mtctl.catalogue.settings import described
from mtctl.measuring.bench import EQUAL, on_recipe, on_reference
from mtctl.measuring.memory import peak_memory
from mtctl.measuring.reference import ReferenceNetwork
from mtctl.recipes.loading import load

METHODS: dict[str, Method] = {kind: described(kind, {})[0] for kind in ("gradnorm", "pcgrad", EQUAL)}
SHORT = ("agent.replay.learning_starts=64", "agent.batch_size=8", "agent.hidden=[8]")


def test_equal_weights_come_first_and_are_the_measure() -> None:
    found = on_reference(METHODS, tasks=2, blocks=2)
    assert [cost.kind for cost in found] == [EQUAL, "gradnorm", "pcgrad"]
    assert found[0].ratio.median == 1
    assert all(cost.milliseconds > 0 for cost in found)
    assert all(cost.ratio.low <= cost.ratio.median <= cost.ratio.high for cost in found)


def test_per_task_gradients_take_memory_equal_weights_do_not() -> None:
    equal, gradnorm, pcgrad = on_reference(METHODS, tasks=4, blocks=1)
    rows = 4 * sum(parameter.numel() for parameter in ReferenceNetwork(4).shared) * 4 / 1e6
    assert equal.peak_mb < rows <= pcgrad.peak_mb
    assert equal.peak_mb < gradnorm.peak_mb < pcgrad.peak_mb


def test_methods_in_a_recipes_training() -> None:
    recipe = load("gradnorm_blind", SHORT)
    assert [cost.kind for cost in on_recipe({"pcgrad": METHODS["pcgrad"]}, recipe, blocks=1)] == [
        EQUAL,
        "pcgrad",
    ]


class TestPeakMemory:
    def test_what_is_given_back_does_not_add_up(self) -> None:
        def call() -> None:
            first = torch.zeros(250_000)
            second = first + 1
            del first
            _ = second + 1

        assert peak_memory(call) == pytest.approx(2.0, rel=1e-4)

    def test_what_was_there_before_does_not_count(self) -> None:
        before = torch.zeros(250_000)
        assert peak_memory(lambda: before.add_(1)) == 0

    def test_backward_passes_count(self) -> None:
        weight = torch.ones(1000, 1000, requires_grad=True)
        assert peak_memory(lambda: (weight * weight).sum().backward()) >= 8.0


class TestReferenceNetwork:
    def test_it_is_the_same_every_time_and_leaves_the_global_generator_alone(self) -> None:
        state = torch.random.get_rng_state()
        one, other = ReferenceNetwork(3), ReferenceNetwork(3)
        assert torch.equal(torch.random.get_rng_state(), state)
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)

    def test_its_features_are_all_that_heads_read(self) -> None:
        network = ReferenceNetwork(3)
        made = network()
        found = split(list(made.losses.values()))
        assert set(found.shared) == set(network.shared)
        assert [edge.node for ends in found.edges for edge in ends] == [made.features.grad_fn] * 3

    def test_tasks_may_have_rows_of_their_own(self) -> None:
        gradients = ReferenceNetwork(3, 4, own_rows=True).gradients()
        gradients.gramian("all_shared")
        assert gradients.how.startswith("closed form")
