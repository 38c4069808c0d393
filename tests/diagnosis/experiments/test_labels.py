"""Whether labels are right, told by the answers on rows that nothing was learned from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mtctl.diagnosis.experiments.labels import Strays, Sureness, mislaid, strays, sureness
from mtctl.problems.contract import SeedList
from mtctl.problems.supervised.answers import Choices, Numbers


class Answered:
    """A problem whose model answers as it should.

    Args:
        odds: of the classes, [N, C].
        labels: [N].
    """

    def __init__(self, odds: Tensor, labels: Tensor) -> None:
        self.logs, self.labels = odds.log(), labels

    def choices(self, task: str, split: SeedList) -> Choices | None:
        return Choices(-self.logs, self.labels)

    def constant_losses(self, split: SeedList) -> dict[str, Tensor]:
        shares = torch.bincount(self.labels, minlength=self.logs.shape[1]) / len(self.labels)
        return {"side": F.nll_loss(shares.log().expand_as(self.logs), self.labels, reduction="none")}


class OfNumbers:
    """A problem whose answers and targets are these numbers [N]."""

    def __init__(self, answers: Tensor, targets: Tensor) -> None:
        self.pair = Numbers(answers[:, None], targets[:, None])

    def choices(self, task: str, split: SeedList) -> Choices | None:
        return None

    def numbers(self, task: str, split: SeedList) -> Numbers | None:
        return self.pair


def drawn(odds: Tensor) -> Answered:
    odds = odds if odds.dim() > 1 else torch.stack([1 - odds, odds], 1)
    labels = torch.multinomial(odds, 1, generator=torch.Generator().manual_seed(1))[:, 0]
    return Answered(odds, labels)


def looked_at(problem: Answered) -> Sureness:
    found = sureness(problem, "side")  # type: ignore[arg-type]
    assert found is not None
    return found


def flipped(classes: int, wrong: float, learned: float = 1.0) -> Tensor:
    """Return odds where a share of labels is any other class; of some rows only a part is known."""
    truth = torch.arange(2000) % classes
    odds = torch.full((2000, classes), wrong / (classes - 1)).scatter(1, truth[:, None], 1 - wrong)
    known = (torch.rand(2000, 1, generator=torch.Generator().manual_seed(2)) < learned).float()
    return known * odds + (1 - known) * (0.6 * odds + 0.4 / classes)


@pytest.mark.parametrize("wrong", [0.15, 0.25, 0.35])
def test_labels_that_are_wrong_whatever_the_inputs_contradict_the_surest_answers(wrong: float) -> None:
    assert looked_at(drawn(flipped(2, wrong))).contradicted


@pytest.mark.parametrize("classes", [4, 10])
def test_so_do_those_of_many_classes_of_which_half_is_learned(classes: int) -> None:
    assert looked_at(drawn(flipped(classes, 0.35, learned=0.5))).contradicted


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0, 4.0])
def test_classes_that_overlap_do_not(slope: float) -> None:
    inputs = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    assert not looked_at(drawn(torch.sigmoid(slope * inputs))).contradicted


@pytest.mark.parametrize("classes", [4, 10])
@pytest.mark.parametrize("slope", [0.7, 1.0, 1.5, 2.5])
def test_nor_do_many_that_overlap_as_labels_are_second_choices(classes: int, slope: float) -> None:
    logits = slope * torch.randn(2000, classes, generator=torch.Generator().manual_seed(0))
    assert not looked_at(drawn(logits.softmax(1))).contradicted


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_a_rare_class_is_not_wrong(share: float) -> None:
    inputs = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    assert not looked_at(drawn(torch.sigmoid(80 * (share - inputs)).clamp(1e-4, 1 - 1e-4))).contradicted


def test_labels_without_any_signal_are_no_partly_wrong_ones() -> None:
    assert not looked_at(drawn(torch.full((2000,), 0.5))).contradicted


def test_few_rows_and_numbers_tell_nothing() -> None:
    few = drawn(torch.where(torch.arange(80) % 2 == 1, 0.7, 0.3))
    assert not looked_at(few).contradicted
    assert sureness(OfNumbers(torch.randn(9), torch.randn(9)), "side") is None  # type: ignore[arg-type]


def numbers(kind: str, share: float = 0.35) -> tuple[Tensor, Tensor]:
    """Return the best answers [N], and targets of some kind."""
    chance = torch.Generator().manual_seed(4)
    signal, error = torch.randn(2, 1000, generator=chance)
    match kind:
        case "of other rows":
            targets = signal + 0.2 * error
            wrong = torch.rand(1000, generator=chance) < share
            targets[wrong] = targets[wrong].roll(1)
            return (1 - share) * signal, targets
        case "noisy":
            return 0.5 * signal, 0.5 * signal + 0.866 * error
        case "with long tails":
            chances = torch.randn(2, 1000, generator=chance)
            return signal, signal + 0.5 * error / (chances.square().sum(0) / 2).sqrt()
        case "in proportion":
            return signal.exp(), signal.exp() * (0.5 * error).exp()
        case _:
            bought = torch.rand(1000, generator=chance) < 0.65
            return 0.65 * signal.exp(), torch.where(bought, signal.exp(), 0.0)


def lines(kind: str, share: float = 0.35) -> Strays | None:
    return mislaid(OfNumbers(*numbers(kind, share)), "side")  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.2, 0.35])
def test_targets_of_other_rows_lie_off_a_line_that_is_steeper_than_the_answers(share: float) -> None:
    found = lines("of other rows", share)
    assert found is not None
    assert found.of_other_rows
    assert found.wrong == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("kind", ["noisy", "with long tails", "in proportion", "bought or not"])
def test_honest_errors_do_not(kind: str) -> None:
    found = lines(kind)
    assert found is None or not found.of_other_rows


def test_answers_without_slope_show_nothing() -> None:
    assert strays(torch.zeros(500), torch.randn(500, generator=torch.Generator().manual_seed(0))) is None
