"""Where all that tasks know passes through few numbers, and what a readout finds before such a place."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtctl.diagnosis.experiments.necks import Neck, Place, necks
from mtctl.diagnosis.experiments.width import readout
from mtctl.problems.contract import SeedList
from mtctl.problems.supervised.answers import Answers


class Network(nn.Module):
    """Six numbers of a row; classes and a number are answered from a trunk, the number from a skip too.

    Args:
        last: units of the trunk's last layer.
        skip: whether the number's head also reads the inputs.
        classes_from: units of a layer before the head of the classes; none if left out.
    """

    def __init__(self, last: int = 16, skip: bool = False, classes_from: int | None = None) -> None:
        super().__init__()
        self.skip = skip
        self.trunk = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, last))
        self.side = nn.Linear(last, 4)
        if classes_from is not None:
            self.side = nn.Sequential(nn.Linear(last, classes_from), nn.Linear(classes_from, 4))  # type: ignore[assignment]
        self.size = nn.Linear(last + 6 * skip, 1)

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        features = self.trunk(rows)
        size = self.size(torch.cat([features, rows], 1) if self.skip else features)
        return {"side": self.side(features), "size": size.squeeze(1)}


class Answering:
    """A problem whose targets are known functions of its rows; 151 of a split, the last one by itself."""

    tasks = ("side", "size")

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def is_of_classes(self, task: str) -> bool:
        return task == "side"

    def batches(self, split: SeedList) -> list[Tensor]:
        generator = torch.Generator().manual_seed(7 if split == "monitor" else 8)
        return list(torch.randn(151, 6, generator=generator).split(75))

    def losses(self, task: str, raw: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        if task == "side":
            return F.cross_entropy(
                raw[task], 2 * (rows[:, 0] > 0).long() + (rows[:, 1] > 0).long(), reduction="none"
            )
        return (raw[task] - rows[:, 2]).square()

    @torch.no_grad()
    def answers(self, split: SeedList, items: int | None = None) -> Answers[Tensor]:
        return Answers([(self.network(rows), rows) for rows in self.batches(split)], self.losses)

    def constant_losses(self, split: SeedList) -> dict[str, Tensor]:
        rows = torch.cat(self.batches(split))
        zero = {"side": torch.zeros(len(rows), 4), "size": torch.zeros(len(rows))}
        return {task: self.losses(task, zero, rows) for task in self.tasks}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def found(network: nn.Module) -> list[Neck]:
    return necks(Answering(network))  # type: ignore[arg-type]


def test_a_wide_network_has_no_neck() -> None:
    assert found(Network()) == []


def test_a_trunk_that_ends_in_one_number_is_a_neck_of_both_tasks() -> None:
    neck = found(Network(last=1))[0]
    assert (neck.place, neck.numbers) == (Place("trunk.2", reads=False), 1)
    assert (neck.before, neck.before_numbers) == (Place("trunk.2", reads=True), 32)
    assert neck.asked == {"side": 3, "size": 1}


def test_a_task_that_reads_past_it_does_not_depend_on_it() -> None:
    assert next(neck.asked for neck in found(Network(last=1, skip=True))) == {"side": 3}


def test_a_layer_of_one_unit_in_a_head_is_a_neck_of_its_task_alone() -> None:
    neck = found(Network(classes_from=1))[0]
    assert (neck.numbers, neck.asked) == (1, {"side": 3})
    assert str(neck.place) == "what `side.0` returns"


def test_as_many_numbers_as_are_asked_for_are_no_neck() -> None:
    assert found(Network(classes_from=3)) == []


def test_copies_of_a_number_are_one() -> None:
    network = Network()
    network.trunk.register_forward_hook(lambda _, __, output: output.mean(1, keepdim=True).expand_as(output))
    assert found(network)[0].numbers == 1


def test_hooks_are_taken_away_and_answers_stay_the_same() -> None:
    network = Network(last=1)
    before = network(torch.ones(2, 6))["side"]
    found(network)
    assert torch.equal(network(torch.ones(2, 6))["side"], before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_readout_finds_what_is_lost_behind_the_neck() -> None:
    problem, generator = Answering(Network(last=1)), torch.get_rng_state()
    before = readout(problem, "side", Place("trunk.2", reads=True))  # type: ignore[arg-type]
    behind = readout(problem, "side", Place("trunk.2", reads=False))  # type: ignore[arg-type]
    assert before is not None
    assert behind is not None
    assert before > 0.5 > behind + 0.2
    assert torch.equal(torch.get_rng_state(), generator)


def test_too_few_rows_tell_nothing() -> None:
    problem = Answering(Network(last=1))
    problem.batches = lambda split: [torch.randn(40, 6)]  # type: ignore[method-assign]
    assert readout(problem, "side", Place("trunk.2", reads=True)) is None  # type: ignore[arg-type]
