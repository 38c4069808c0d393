"""Gradients where every head's way begins: at the LSTM's output, the space `features`."""

from __future__ import annotations

import torch
from torch import Tensor

from mtctl.balancing.gradients import AutogradGradients
from mtctl.catalogue.settings import described
from mtctl.problems.windows.problem import Windows
from tests.problems.windows.small import TASKS, Trainer, small

STILL = {"dropout": 0.0, "head_dropout": 0.0}
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)


def losses(problem: Windows, hidden: Tensor) -> dict[str, Tensor]:
    raw = problem.network.outputs(problem.network.read(hidden, None))
    return problem.objective.losses(raw, problem.splits.training, TASKS)


def made(problem: Windows) -> tuple[AutogradGradients, Tensor]:
    hidden = problem.network.hidden(problem.splits.training.inputs)
    return problem.differentiate(losses(problem, hidden), hidden), hidden


def test_the_rows_are_those_of_autograd() -> None:
    problem = small(model=STILL)
    gradients, hidden = made(problem)
    by_task = losses(problem, hidden)
    rows = torch.stack(
        [torch.autograd.grad(by_task[task], hidden, retain_graph=True)[0].flatten() for task in TASKS]
    ).double()
    torch.testing.assert_close(gradients.jacobian("features").double(), rows, rtol=0, atol=0)
    torch.testing.assert_close(gradients.gramian("features"), rows @ rows.T, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(gradients.norms("features"), rows.norm(dim=1), rtol=1e-4, atol=0)
    assert (gradients.norms("features") > 0).all()


def test_the_rows_are_what_small_changes_of_the_output_do_to_the_losses() -> None:
    problem = small(model=STILL)
    gradients, hidden = made(problem)
    direction = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        above, below = (losses(problem, hidden + step * direction) for step in (1e-2, -1e-2))
    slopes = torch.stack([(above[task] - below[task]) / 2e-2 for task in TASKS])
    torch.testing.assert_close(
        gradients.jacobian("features") @ direction.flatten(), slopes, rtol=1e-2, atol=1e-4
    )


def test_looking_at_features_changes_no_gradient() -> None:
    found = []
    for looking in (False, True):
        problem = small(model=STILL)
        gradients, _ = made(problem)
        if looking:
            gradients.gramian("features")
        gradients.combine(WEIGHTS, torch.ones(4, dtype=torch.float64))
        found.append([one.grad for group in problem.optimizer.param_groups for one in group["params"]])
    blind, seen = found
    assert len(blind) == len(seen) > 0
    for one, other in zip(blind, seen, strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_a_method_may_measure_there() -> None:
    there, everywhere = (described("pcgrad", {"layer": layer}) for layer in ("features", "all_shared"))
    records = [Trainer(small(), *methods).train() for methods in (there, there, everywhere)]
    assert records[0] == records[1] != records[2]
