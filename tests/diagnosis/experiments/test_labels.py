"""Whether labels are right, told by the answers on rows that nothing was learned from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtctl.diagnosis.experiments.labels import Sureness, sureness
from mtctl.problems.contract import SeedList
from mtctl.problems.supervised.answers import Answers
from mtctl.problems.windows.data import Dataset


class Answered:
    """A problem of two classes whose model answers as it should.

    Args:
        odds: of the second class, [N].
        labels: [N].
    """

    def __init__(self, odds: Tensor, labels: Tensor, *, classes: bool = True) -> None:
        self.odds, self.labels, self.classes = odds, labels, classes

    def is_of_classes(self, task: str) -> bool:
        return self.classes

    def _loss(self, logits: Tensor) -> Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, self.labels, reduction="none")

    def answers(self, split: SeedList) -> Answers[Dataset | None]:
        return Answers([({"side": self.odds.logit()}, None)], lambda task, raw, batch: self._loss(raw[task]))

    def constant_losses(self, split: SeedList) -> dict[str, Tensor]:
        return {"side": self._loss(self.labels.mean().logit().expand_as(self.labels))}


def drawn(odds: Tensor) -> Answered:
    generator = torch.Generator().manual_seed(1)
    return Answered(odds, (torch.rand(len(odds), generator=generator) < odds).float())


def looked_at(problem: Answered) -> Sureness:
    found = sureness(problem, "side")  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("wrong", [0.15, 0.25, 0.35])
def test_labels_that_are_wrong_whatever_the_inputs_contradict_the_surest_answers(wrong: float) -> None:
    sides = torch.arange(2000) % 2
    assert looked_at(drawn(torch.where(sides == 1, 1 - wrong, wrong))).contradicted


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0, 4.0])
def test_classes_that_overlap_do_not(slope: float) -> None:
    inputs = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    assert not looked_at(drawn(torch.sigmoid(slope * inputs))).contradicted


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_a_rare_class_is_not_wrong(share: float) -> None:
    inputs = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    assert not looked_at(drawn(torch.sigmoid(80 * (share - inputs)).clamp(1e-4, 1 - 1e-4))).contradicted


def test_labels_without_any_signal_are_no_partly_wrong_ones() -> None:
    assert not looked_at(drawn(torch.full((2000,), 0.5))).contradicted


def test_few_rows_and_numbers_tell_nothing() -> None:
    few = drawn(torch.where(torch.arange(100) % 2 == 1, 0.7, 0.3))
    assert not looked_at(few).contradicted
    few.classes = False
    assert sureness(few, "side") is None  # type: ignore[arg-type]
