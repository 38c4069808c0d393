"""What answers would lose on each class, whatever the user's loss; None where targets are no classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mtctl.problems.python.objective import Objective, Pair
from mtctl.problems.python.training import Task
from mtctl.problems.supervised.answers import Choices


def choices(loss: Callable[[Tensor, Tensor], Tensor], output: Tensor, target: Tensor) -> Choices | None:
    objective = Objective("task", Task(loss), 0, 1, standardised=False)
    pair = Pair(output, target)
    objective.learn_reduction(pair)
    objective.fit(target, output)
    return objective.choices(pair)


def test_every_place_of_a_sequence_is_a_row() -> None:
    output, target = torch.randn(6, 4, 5), torch.randint(4, (6, 5))
    found = choices(F.cross_entropy, output, target)
    assert found is not None
    torch.testing.assert_close(found.losses, -output.log_softmax(1).movedim(1, -1).reshape(30, 4))
    assert torch.equal(found.labels, target.flatten())


def test_places_without_a_class_are_left_out() -> None:
    target = torch.tensor([[0, -100], [1, 2]])
    found = choices(F.cross_entropy, torch.randn(2, 3, 2), target)
    assert found is not None
    assert found.labels.tolist() == [0, 1, 2]


def test_a_logit_has_two_classes() -> None:
    output, target = torch.randn(8, 1), (torch.arange(8) % 2).float()[:, None]
    found = choices(F.binary_cross_entropy_with_logits, output, target)
    assert found is not None
    torch.testing.assert_close(found.losses[:, 1], F.softplus(-output[:, 0]))
    assert found.labels.tolist() == [0, 1] * 4


def test_numbers_have_none() -> None:
    target = (torch.arange(8) % 2).float()
    assert choices(F.mse_loss, torch.randn(8), target) is None
    assert choices(F.binary_cross_entropy_with_logits, torch.randn(8), torch.rand(8)) is None
