"""A loss that is optimised and not balanced: parameters feel it, methods do not see it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtctl.balancing.gradients import AutogradGradients
from mtctl.engine.fit import Diverged
from tests.engine.regression import Regression
from tests.engine.test_fit import METHODS, balancing, errors, train


class WithCritic(Regression):
    """Regression with a third head that belongs to no task: it learns cos 3x on the tasks' trunk.

    Args:
        factor: of its loss; 0 leaves its gradient at 0.
        options: of the problem without it.
    """

    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self._factor = factor
        self._critic = nn.Linear(32, 1)
        with torch.no_grad():
            self._critic.weight.fill_(0.1)
            self._critic.bias.fill_(0.0)
        self._optimizer.add_param_group({"params": list(self._critic.parameters())})

    def auxiliary(self, inputs: Tensor) -> Tensor:
        found: Tensor = self._critic(self._trunk(inputs).tanh())
        return (found - (3 * inputs).cos()).square().mean()

    def trained(self) -> list[nn.Parameter]:
        return [p for group in self._optimizer.param_groups for p in group["params"]]

    def gradients(self) -> AutogradGradients | None:
        plain = super().gradients()
        if plain is None:
            return None
        return AutogradGradients(
            self.tasks,
            self._losses(self._inputs),
            shared=list(self._trunk.parameters()),
            own=[list(head.parameters()) for head in self._heads],
            last_shared=[next(self._trunk.parameters())],
            auxiliary=self._factor * self.auxiliary(self._inputs),
            auxiliary_own=list(self._critic.parameters()),
        )


def first(problem: Regression) -> AutogradGradients:
    problem.advance()
    problem.advance()
    gradients = problem.gradients()
    assert gradients is not None
    return gradients


@pytest.mark.parametrize("own", [(2.0, 0.5), (1.0, 1.0)])
def test_its_gradient_is_added_as_it_is(own: tuple[float, float]) -> None:
    with_critic, without = WithCritic(), WithCritic(factor=0.0)
    shared, own_weights = torch.tensor([2.0, 0.5]), torch.tensor(own)
    gradients, plain = first(with_critic), first(without)
    assert plain.auxiliary == 0
    assert torch.equal(gradients.losses, plain.losses)
    assert torch.equal(gradients.gramian("all_shared"), plain.gramian("all_shared"))
    assert torch.equal(gradients.norms("last_shared"), plain.norms("last_shared"))
    assert torch.equal(gradients.own_norms(), plain.own_norms())
    for each in (gradients, plain):
        each.combine(shared, own_weights)
    expected = torch.autograd.grad(
        with_critic.auxiliary(with_critic._inputs), with_critic.trained(), allow_unused=True
    )
    for parameter, other, added in zip(with_critic.trained(), without.trained(), expected, strict=True):
        assert parameter.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(parameter.grad, other.grad + (0 if added is None else added))
    assert gradients.finite()


def test_it_is_optimised_where_no_task_has_data() -> None:
    problem = WithCritic()
    problem.advance()
    parameters = list(problem._trunk.parameters())
    gradients = AutogradGradients(
        problem.tasks,
        {},
        shared=parameters,
        own=[[], []],
        last_shared=[],
        active=torch.tensor([False, False]),
        auxiliary=problem.auxiliary(problem._inputs),
        auxiliary_own=list(problem._critic.parameters()),
    )
    gradients.combine(torch.zeros(2), torch.zeros(2))
    assert all(p.grad is not None and p.grad.any() for p in [*parameters, *problem._critic.parameters()])


@pytest.mark.parametrize("name", METHODS)
def test_all_three_are_learned(name: str) -> None:
    problem = WithCritic(units=40, lr=3e-2)
    records = train(problem, name)
    assert max(errors(problem)) < 0.15
    assert problem.auxiliary(torch.linspace(-2, 2, 200).unsqueeze(1)) < 0.2
    assert records[0]["signals"]["weight"].keys() == set(problem.tasks)


def test_methods_decide_as_without_it() -> None:
    decisions = []
    for factor in (0.0, 100.0):
        problem = WithCritic(factor=factor)
        method = balancing(problem, METHODS["chain"])
        decisions.append(method.balance(first(problem)))
    assert torch.equal(decisions[0].shared, decisions[1].shared)
    assert torch.equal(decisions[0].own, decisions[1].own)


@pytest.mark.parametrize(
    ("factor", "says"),
    [(float("nan"), "the auxiliary loss is nan"), (3e38, "not finite, auxiliary loss")],
)
def test_one_that_is_not_finite_ends_the_training(factor: float, says: str) -> None:
    problem = WithCritic(factor=factor)
    if factor == 3e38:  # a mean square of about 1, whose slope is beyond what 32 bits hold
        problem._critic.weight.data.fill_(0.0)
        problem._critic.bias.data.fill_(0.7)
    with pytest.raises(Diverged, match=says) as caught:
        train(problem)
    assert caught.value.task is None
    assert problem.updates == 0
