"""The sequence model: sizes, initial weights, dropout."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtctl.problems.windows.network import HEADS, SequenceNetwork, drop
from mtctl.problems.windows.parts import SequenceModel
from mtctl.problems.windows.windows import LENGTH
from tests.problems.windows.small import TASKS, Trainer, small, weights


def network(inputs: int = 12, seed: int = 0, **model: Any) -> SequenceNetwork:
    return SequenceNetwork(SequenceModel.model_validate({"kind": "bilstm", **model}), inputs, seed)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class TestSizes:
    def test_the_documented_model(self) -> None:
        found = network()
        assert size(found) == 97_543
        assert {task: size(found.head(task)) for task in HEADS} == {
            "type": 195, "ptr": 130, "binary": 193, "countdown": 193
        }  # fmt: skip
        assert sum(parameter.numel() for parameter in found.trunk()) == 96_832

    def test_a_scalar_countdown_reads_the_projection(self) -> None:
        assert size(network(countdown="scalar").head("countdown")) == 65

    def test_the_position_is_one_more_input(self) -> None:
        assert size(network(inputs=13)) - size(network()) == 2 * 4 * 96

    def test_outputs(self) -> None:
        inputs = torch.zeros(3, LENGTH, 12)
        for countdown, length in (("per_step", LENGTH), ("scalar", 1)):
            found = network(hidden=4, projection=3, countdown=countdown)
            raw = found.outputs(found.features(inputs, None))
            shapes = {task: tuple(output.shape) for task, output in raw.items()}
            assert shapes == {
                "type": (3, 3), "ptr": (3, 2), "binary": (3, LENGTH), "countdown": (3, length)
            }  # fmt: skip


class TestInitialWeights:
    def test_are_uniform_as_torchs_own(self) -> None:
        found = network()
        bounds = {"lstm": 96, "projection": 192}
        parts = {name: getattr(found, name) for name in bounds} | {task: found.head(task) for task in HEADS}
        bounds |= {task: found.head(task).in_features for task in HEADS}
        for name, part in parts.items():
            bound = 1 / math.sqrt(bounds[name])
            values = torch.cat([parameter.detach().flatten() for parameter in part.parameters()])
            assert 0.95 * bound < values.abs().max() <= bound
            assert abs(values.mean()) < 4 * bound / math.sqrt(3 * len(values))

    def test_depend_on_the_seed_and_on_nothing_else(self) -> None:
        torch.manual_seed(1)
        one = weights(small())
        torch.manual_seed(2)
        other = weights(small())
        assert all(torch.equal(one[name], other[name]) for name in one)
        third = weights(small(seed=1))
        assert not any(torch.equal(one[name], third[name]) for name in one)

    @pytest.mark.parametrize("task", TASKS)
    def test_are_the_same_for_a_task_alone(self, task: str) -> None:
        joint, alone = weights(small()), weights(small([task]))
        assert all(torch.equal(joint[name], alone[name]) for name in joint)

    def test_a_countdown_of_another_form_leaves_the_rest_as_it_is(self) -> None:
        one, other = weights(small()), weights(small(model={"countdown": "scalar"}))
        same = {name for name in one if one[name].shape == other[name].shape}
        assert {name for name in one if "countdown" not in name} <= same
        assert all(torch.equal(one[name], other[name]) for name in same if "countdown" not in name)


def test_the_global_generator_stays_untouched() -> None:
    before = torch.get_rng_state()
    problem = small()
    Trainer(problem).train()
    problem.evaluate(None, "held_out")
    assert torch.equal(torch.get_rng_state(), before)


class TestDropout:
    @settings(max_examples=30, deadline=None)
    @given(share=st.floats(0, 0.99), seed=st.integers(0, 100))
    def test_drops_its_share_and_keeps_the_mean(self, share: float, seed: int) -> None:
        ones = torch.ones(400, 255)
        found = drop(ones, share, [generator(seed)])
        kept = max(1, round(256 * (1 - share))) / 256
        assert abs(kept - (1 - share)) <= 1 / 256
        noise = math.sqrt(kept * (1 - kept) / ones.numel())
        assert abs((found > 0).double().mean() - kept) < 5 * noise + 1e-12
        assert found[found > 0].unique().tolist() == pytest.approx([1 / kept])
        assert abs(found.double().mean() - 1) < 5 * noise / kept + 1e-6

    @pytest.mark.parametrize("share", [0.0, 0.001])
    def test_nothing_is_dropped_where_the_share_is_none(self, share: float) -> None:
        values = torch.arange(6.0)
        before = generator().get_state()
        source = generator()
        assert drop(values, share, [source]) is values
        assert torch.equal(source.get_state(), before)

    def test_nothing_is_dropped_in_an_evaluation(self) -> None:
        inputs = torch.ones(2, LENGTH, 12)
        found = network(hidden=4, projection=3, dropout=0.9, head_dropout=0.9)
        one, other = found.features(inputs, None), found.features(inputs, None)
        assert all(torch.equal(one[task], other[task]) for task in HEADS)
        assert all((one[task] != 0).all() for task in HEADS)

    @pytest.mark.parametrize("task", TASKS)
    def test_is_the_same_for_a_task_alone(self, task: str) -> None:
        joint, alone = small(), small([task])
        inputs = joint.splits.training.inputs[:4]
        outputs = [
            problem.forward(inputs, generator(3))[task] for problem in (joint, alone) for _ in range(2)
        ]
        assert torch.equal(outputs[0], outputs[2])
        # Drawn anew in each pass from the same state; a later draw differs.
        source = generator(3)
        first, second = (joint.forward(inputs, source)[task] for _ in range(2))
        assert torch.equal(first, outputs[0])
        assert not torch.equal(first, second)

    def test_heads_and_projection_have_a_share_each(self) -> None:
        inputs = torch.randn(64, LENGTH, 12, generator=generator())
        found = network(hidden=8, projection=64, dropout=0.5, head_dropout=0.0)
        features = found.features(inputs, generator())
        assert abs((features["type"] == 0).double().mean() - 0.5) < 0.05
        # The projection is dropped once for both heads; what the other two read is not.
        assert torch.equal(features["type"], features["ptr"])
        assert (features["binary"] != 0).all()
        found = network(hidden=8, projection=64, dropout=0.0, head_dropout=0.75)
        features = found.features(inputs, generator())
        assert all(abs((features[task] == 0).double().mean() - 0.75) < 0.05 for task in HEADS)
        assert not torch.equal(features["type"], features["ptr"])
