"""Every balancing method trains both problems through the engine, and is shown what it asks for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Method
from mtctl.balancing.registry import KINDS
from mtctl.engine.fit import Balancing
from mtctl.problems.contract import Problem
from tests.problems.lander.landers import fill, lander
from tests.problems.windows.small import small

REQUIRED: dict[str, dict[str, Any]] = {"manual": {"weights": 0.5}}
"""Settings without a default, as the value of every task."""
UPDATES = 4


def described(kind: str, tasks: tuple[str, ...], **settings: Any) -> Method:
    by_task = {name: dict.fromkeys(tasks, value) for name, value in REQUIRED.get(kind, {}).items()}
    return KINDS[kind].model_validate({"kind": kind, **by_task, **settings})


def windows() -> Problem:
    return small(training={"epochs": UPDATES}, model={"dropout": 0.5})


def played() -> Problem:
    problem = lander(hidden=(16, 8), replay={"kind": "per_task", "learning_starts": 32}, batch_size=8)
    fill(problem, 40)
    return problem


def mixed() -> Problem:
    problem = lander(hidden=(16, 8), replay={"kind": "mixed", "learning_starts": 32}, batch_size=12)
    fill(problem, 40)
    return problem


def trained(problem: Problem, method: Method) -> list[list[float]]:
    """Make some updates; return the losses of each."""
    balancing = Balancing(Chain((method,)), problem.tasks, 0)
    found: list[list[float]] = []
    while len(found) < UPDATES:
        problem.advance()
        gradients = problem.gradients()
        if gradients is None:
            continue
        decision = balancing.balance(gradients)
        gradients.combine(decision.shared, decision.own)
        problem.update()
        balancing.follow(gradients, decision, problem.revisit)
        found.append(gradients.losses.tolist())
    return found


@pytest.mark.parametrize("make", [windows, played, mixed])
@pytest.mark.parametrize("kind", KINDS)
def test_it_trains(kind: str, make: Any) -> None:
    problem = make()
    before = {name: value.clone() for name, value in _weights(problem).items()}
    losses = trained(problem, described(kind, problem.tasks))
    assert all(math.isfinite(loss) for step in losses for loss in step)
    moved = [not torch.equal(before[name], value) for name, value in _weights(problem).items()]
    assert any(moved)


def _weights(problem: Problem) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, value in problem.policy_state().items():
        parts = value if isinstance(value, list) else [value]
        found |= {
            f"{name}.{place}": part for place, part in enumerate(parts) if isinstance(part, torch.Tensor)
        }
    return found


@pytest.mark.parametrize("make", [windows, played, mixed])
class TestRevisiting:
    def test_before_the_update_losses_are_what_they_were(self, make: Any) -> None:
        problem = make()
        while True:
            problem.advance()
            if (gradients := problem.gradients()) is not None:
                break
        torch.testing.assert_close(problem.revisit(), gradients.losses, rtol=1e-6, atol=0)
        ones = torch.ones(len(problem.tasks), dtype=torch.float64)
        gradients.combine(ones, ones)
        problem.update()
        assert not torch.equal(problem.revisit(), gradients.losses)

    def test_training_goes_on_as_if_nobody_had_looked(self, make: Any) -> None:
        looked, blind = make(), make()
        ones = torch.ones(len(looked.tasks), dtype=torch.float64)
        for problem in (looked, blind):
            for _ in range(6):
                problem.advance()
                if (gradients := problem.gradients()) is not None:
                    gradients.combine(ones, ones)
                    problem.update()
                    if problem is looked:
                        problem.revisit()
        for name, value in _weights(looked).items():
            assert torch.equal(value, _weights(blind)[name]), name

    def test_famo_learns_from_it(self, make: Any) -> None:
        problem = make()
        balancing = Balancing(Chain((described("famo", problem.tasks),)), problem.tasks, 0)
        while True:
            problem.advance()
            if (gradients := problem.gradients()) is not None:
                break
        decision = balancing.balance(gradients)
        gradients.combine(decision.shared, decision.own)
        problem.update()
        before = balancing.state_dict()["state"]["0.logits"].clone()
        balancing.follow(gradients, decision, problem.revisit)
        after = balancing.state_dict()["state"]["0.logits"]
        assert (before == 0).all()
        gain = gradients.losses.log() - problem.revisit().log()
        assert after.argmin() == gain.argmax()
