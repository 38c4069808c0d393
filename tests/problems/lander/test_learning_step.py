"""From combined gradients to new weights: Adam, clipping, rates per task, and what a step leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.problem import Lander
from tests.problems.lander import peer
from tests.problems.lander.landers import ONES, SMALL, fill, independent, lander

WEIGHTS = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)


def started(**agent: Any) -> Lander:
    problem = lander(hidden=SMALL, **agent)
    fill(problem, 100)
    return problem


def step(problem: Lander, task: int | None = None, weights: Tensor = ONES) -> None:
    gradients = problem.dqn.gradients(problem.replay.sample(64, task))
    gradients.combine(weights, weights)
    problem.update()


def weights_of(problem: Lander) -> list[Tensor]:
    return [leaf.clone() for leaf in problem.dqn.online.leaves()]


@pytest.mark.parametrize(
    "agent",
    [
        {},
        {"task_encoding": "embedding"},
        {"replay": {"kind": "mixed"}},
        independent(),
        {"gradient_clip": 1.0, "task_encoding": "embedding"},
        independent(gradient_clip=1.0),
        {"layer_norm": True, "dueling": True, "task_encoding": "embedding"},
        independent(layer_norm=True, dueling=True),
    ],
    ids=str,
)
def test_updates_follow_torch_adam(agent: dict[str, Any]) -> None:
    """The peer gets this step's gradients from autograd, at its own weights, and steps with torch's Adam."""
    problem = started(lr=1e-2, **agent)
    settings = DQNAgent.model_validate({"kind": "dqn", "hidden": SMALL, **agent})
    leaves = [leaf.clone().requires_grad_() for leaf in problem.dqn.online.leaves()]
    adam = torch.optim.Adam(leaves, lr=1e-2)
    copies = problem.dqn.online.copies
    before = weights_of(problem)
    for _ in range(60):
        batch = problem.replay.sample(64)
        total = sum(batch.counts)
        importance = [count / total if "replay" in agent else 1.0 for count in batch.counts]
        weights = [weight * share for weight, share in zip(WEIGHTS.tolist(), importance, strict=True)]
        parameters, codes = peer.losses(problem, settings, batch).gradients(weights)
        for leaf, gradient in zip(leaves, [*parameters.unbind(), codes], strict=False):
            leaf.grad = gradient.float()
        if settings.gradient_clip:
            for group in [[leaf] for leaf in leaves] if copies > 1 else [leaves]:
                torch.nn.utils.clip_grad_norm_(group, settings.gradient_clip)
        adam.step()

        gradients = problem.dqn.gradients(batch)
        gradients.combine(WEIGHTS, WEIGHTS)
        problem.update()
        for leaf, own in zip(leaves, problem.dqn.online.leaves(), strict=True):
            torch.testing.assert_close(own, leaf.detach(), rtol=1e-3, atol=2e-4)
            # From equal weights on, rounding cannot add up over the steps.
            own.copy_(leaf.detach())
    assert all((old - new).abs().mean() > 0.05 for old, new in zip(before, weights_of(problem), strict=True))


def test_every_weight_moves_in_the_first_step() -> None:
    problem = started(lr=1e-3, task_encoding="embedding")
    before = weights_of(problem)
    step(problem)
    for old, new in zip(before, weights_of(problem), strict=True):
        moved = (old - new).abs()
        # Adam's first step is the learning rate, whatever the gradient; dead units have none.
        assert (moved > 0.9e-3).float().mean() > 0.5
        assert moved.max() < 1.001e-3


def test_a_task_that_is_not_trained_keeps_its_network_and_its_moments() -> None:
    problem = started(**independent(learn="active_task"))
    for _ in range(3):
        step(problem, 0)
        step(problem, 2)
    before, state = weights_of(problem), problem.dqn.state_dict()["optimizer"]
    step(problem, 1)
    after, moved = weights_of(problem), problem.dqn.state_dict()["optimizer"]
    assert not torch.equal(before[1], after[1])
    for task in (0, 2):
        assert torch.equal(before[task], after[task])
        assert all(torch.equal(state[name][task], moved[name][task]) for name in state)


def test_independent_networks_learn_as_if_they_were_alone() -> None:
    """The same batches of task 1 alone lead to the same network, whatever the others learn."""
    together, alone = (started(**independent()) for _ in range(2))
    for _ in range(10):
        batch = together.replay.sample(64)
        gradients = together.dqn.gradients(batch)
        gradients.combine(WEIGHTS, WEIGHTS)
        together.update()
        gradients = alone.dqn.gradients(batch)
        only = WEIGHTS * torch.tensor([0.0, 1.0, 0.0])
        gradients.combine(only, only)
        alone.update()
    assert torch.equal(weights_of(together)[1], weights_of(alone)[1])
    assert not torch.equal(weights_of(together)[0], weights_of(alone)[0])


def test_learning_rate_of_one_task() -> None:
    problem = started(**independent(lr=1e-3, per_task={"heavy": {"lr": 1e-2}}))
    before = weights_of(problem)
    step(problem)
    largest = [(old - new).abs().max() for old, new in zip(before, weights_of(problem), strict=True)]
    assert torch.tensor(largest) == pytest.approx([1e-3, 1e-3, 1e-2], rel=1e-3)


def test_clipping_bounds_the_whole_gradient() -> None:
    problem = started(gradient_clip=0.5, task_encoding="embedding")
    problem.dqn.gradients(problem.replay.sample(64)).combine(ONES, ONES)
    leaves = problem.dqn.online.leaves()
    lengths = [leaf.grad.norm() for leaf in leaves if leaf.grad is not None]
    assert len(lengths) == 2
    assert torch.stack(lengths).norm() > 0.5
    problem.update()
    lengths = [leaf.grad.norm() for leaf in leaves if leaf.grad is not None]
    assert torch.stack(lengths).norm().item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    "agent",
    [
        {},
        {"layer_norm": True},
        {"dueling": True, "layer_norm": True},
        {"replay": {"priority": {}}},
        {"reward_scale": {"kind": "fixed", "factor": 0.1}},
        {"lr_schedule": {"kind": "cosine", "environment_steps": 1000}},
    ],
    ids=str,
)
def test_learning_lowers_the_loss_of_a_fixed_batch(agent: dict[str, Any]) -> None:
    problem = started(lr=5e-3, task_encoding="embedding", **agent)
    batch = problem.replay.sample(64)
    first = problem.dqn.gradients(batch).losses.clone()
    for _ in range(300):
        problem.dqn.gradients(batch).combine(ONES, ONES)
        problem.update()
    assert (problem.dqn.gradients(batch).losses < 0.5 * first).all()
