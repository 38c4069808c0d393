"""Whether a head answers in the unit of its targets: a standardised one divides by their deviation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mtctl import Task
from mtctl.problems.python.objective import Objective, Pair


def fitted(loss: Callable[[Tensor, Tensor], Tensor], targets: Tensor) -> Objective:
    objective = Objective("task", Task(loss), 0, 1, standardised=True)
    objective.learn_reduction(Pair(torch.zeros_like(targets), targets))
    objective.fit(targets, torch.zeros_like(targets))
    return objective


SIDES = (torch.arange(40) % 4 == 0).float()
COUNTS = torch.arange(40.0) % 7


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.huber_loss])
def test_a_regression_answers_in_its_targets_unit(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    found = fitted(loss, 50 + 10 * COUNTS)
    assert found.in_unit
    assert found.answered(torch.tensor(1.0)) == pytest.approx(float(found.constant + found.scale))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (F.binary_cross_entropy_with_logits, SIDES),
        (F.poisson_nll_loss, COUNTS),
        (lambda output, target: (1 - output * target).clamp(min=0).mean(), 2 * SIDES - 1),
    ],
    ids=["logits", "logarithms", "margins"],
)
def test_logits_have_no_unit_and_start_at_the_best_constant(
    loss: Callable[[Tensor, Tensor], Tensor], targets: Tensor
) -> None:
    found = fitted(loss, targets)
    assert not found.in_unit
    as_constant = float(loss(found.answered(torch.zeros_like(targets)), targets))
    assert float(found.minimised(Pair(torch.zeros_like(targets), targets))) == pytest.approx(as_constant)
    assert as_constant <= float(loss(torch.zeros_like(targets), targets)) + 1e-6
    assert found.distance(targets) != found.distance(targets)  # NaN: there is no way to go
