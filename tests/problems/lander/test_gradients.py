"""The closed-form gradients against autograd of the plain losses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from mtctl.balancing.chain import Chain
from mtctl.balancing.contract import Space
from mtctl.balancing.fixed import Manual
from mtctl.balancing.gradnorm import GradNorm
from mtctl.engine.fit import Balancing
from mtctl.errors import MtctlError
from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.problem import Lander
from mtctl.problems.lander.replay import Batch
from tests.problems.lander import peer
from tests.problems.lander.landers import ENCODINGS, ONES, SMALL, TASKS, fill, independent, lander, learn

MIXED = {"replay": {"kind": "mixed"}}
AGENTS: dict[str, dict[str, Any]] = {
    **{f"per_task-{encoding}": {"task_encoding": encoding} for encoding in ENCODINGS},
    **{f"mixed-{encoding}": {"task_encoding": encoding, **MIXED} for encoding in ENCODINGS},
    "independent": independent(),
    "independent-active": independent(learn="active_task"),
    "huber": {"loss": "huber", "huber_delta": 0.7},
    "huber-mixed-embedding": {"loss": "huber", "task_encoding": "embedding", **MIXED},
    "double": {"double": True, "task_encoding": "embedding"},
    "double-independent": independent(double=True),
    "advantages": {"advantage_learning": 0.9, "double": True, "task_encoding": "embedding"},
    "advantages-independent": independent(advantage_learning=0.5),
    "one-hidden-layer": {"hidden": (16,)},
    "three-hidden-layers": {"hidden": (16, 12, 8), "task_encoding": "embedding"},
    "norm": {"layer_norm": True},
    "norm-mixed-embedding": {"layer_norm": True, "task_encoding": "embedding", **MIXED},
    "norm-double-independent": independent(layer_norm=True, double=True),
    "norm-independent-active": independent(layer_norm=True, learn="active_task"),
    "dueling": {"dueling": True},
    "dueling-mixed-embedding": {"dueling": True, "task_encoding": "embedding", **MIXED},
    "dueling-independent": independent(dueling=True),
    "dueling-independent-active": independent(dueling=True, learn="active_task"),
    "dueling-norm-double": {"dueling": True, "layer_norm": True, "double": True, "task_encoding": "onehot"},
    "dueling-norm-independent": independent(dueling=True, layer_norm=True),
    "dueling-norm-three": {"dueling": True, "layer_norm": True, "hidden": (16, 12, 8), **MIXED},
    "priority": {"replay": {"priority": {}}, "loss": "huber", "huber_delta": 0.7},
    "priority-mixed-embedding": {"replay": {"kind": "mixed", "priority": {}}, "task_encoding": "embedding"},
    "priority-independent": independent(replay={"priority": {"alpha": 1.0}}),
    "priority-independent-active": independent(replay={"priority": {}}, learn="active_task"),
    "dueling-norm-one": {"dueling": True, "layer_norm": True, "hidden": (16,)},
}


def started(agent: dict[str, Any], **options: Any) -> tuple[Lander, DQNAgent]:
    """Return a lander whose target network lags behind its online network, with made-up replay."""
    settings = {"hidden": SMALL, "replay": {"learning_starts": 1}, **agent}
    if "replay" in agent:
        settings["replay"] = {"learning_starts": 1, **agent["replay"]}
    problem = lander(**settings, **options)
    fill(problem, 300)
    for _ in range(5):
        learn(problem)
    return problem, DQNAgent.model_validate({"kind": "dqn", **settings})


def batch_of(problem: Lander, agent: DQNAgent, task: int = 1) -> Batch:
    return problem.replay.sample(agent.batch_size, task if agent.learn == "active_task" else None)


def shares(batch: Batch, agent: DQNAgent) -> list[float]:
    """Return what the plain objective multiplies each task's mean loss by."""
    mixed = agent.replay.kind == "mixed"
    return [count / sum(batch.counts) if mixed else 1.0 for count in batch.counts]


def combined(problem: Lander) -> tuple[Tensor, Tensor]:
    """Return what `combine` has written: [K, P] of the networks and [T, d] of learned embeddings."""
    network = problem.dqn.online
    leaves = network.leaves()
    rows = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    codes = rows[network.copies :]
    return torch.stack(rows[: network.copies]).double(), codes[0].double() if codes else torch.zeros(0)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Compare with a float64 peer: to a part in 10,000 of the largest entry."""
    scale = float(expected.abs().max()) if expected.numel() else 1.0
    assert scale > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS.keys())
def test_weighted_gradients_are_those_of_autograd(agent: dict[str, Any]) -> None:
    problem, settings = started(agent)
    batch = batch_of(problem, settings)
    expected = peer.losses(problem, settings, batch)
    found = problem.dqn.gradients(batch)
    shared, own = (
        torch.tensor(weights, dtype=torch.float64) for weights in ((0.5, 1.2, 2.0), (1.0, 3.0, 0.1))
    )
    if problem.dqn.online.copies > 1:
        own = shared  # independent networks have no part of their own beside the one that `shared` weighs

    assert found.active.tolist() == [loss is not None for loss in expected.by_task]
    assert_near(
        found.losses,
        torch.tensor([0.0 if loss is None else loss.item() for loss in expected.by_task]).double(),
    )
    found.combine(shared, own)
    parameters, codes = combined(problem)
    importance = torch.tensor(shares(batch, settings), dtype=torch.float64)
    assert_near(parameters, expected.gradients((shared * importance).tolist())[0])
    if settings.task_encoding == "embedding":
        assert_near(codes, expected.gradients((own * importance).tolist())[1])


@pytest.mark.parametrize("space", ["all_shared", "last_shared"])
@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS.keys())
def test_norms_and_gramians_are_those_of_autograd(agent: dict[str, Any], space: Space) -> None:
    problem, settings = started(agent)
    batch = batch_of(problem, settings)
    expected = peer.losses(problem, settings, batch)
    rows = torch.stack([expected.gradients(weights)[0] for weights in torch.eye(3).tolist()])
    if space == "last_shared":
        rows = rows[:, :, last_hidden_weights(settings, problem)]
    rows = rows.flatten(1)
    found = problem.dqn.gradients(batch)
    assert_near(found.gramian(space), rows @ rows.T)
    assert_near(found.norms(space), rows.norm(dim=1))


@pytest.mark.parametrize("kind", ["per_task", "mixed"])
def test_rows_drawn_by_priority_have_weights_of_their_own(kind: str) -> None:
    problem, settings = started({"replay": {"kind": kind, "priority": {"alpha": 1.0}}})
    batch = batch_of(problem, settings)
    assert batch.weights is not None
    assert float(batch.weights.min()) < 0.5 * float(batch.weights.max())
    found = problem.dqn.gradients(batch)
    torch.testing.assert_close(problem.revisit(), found.losses)


def test_tasks_with_rows_of_their_own_have_no_features_in_common() -> None:
    problem, settings = started(next(iter(AGENTS.values())))
    found = problem.dqn.gradients(batch_of(problem, settings))
    for measure in (found.norms, found.gramian):
        with pytest.raises(MtctlError, match="every task has its own rows"):
            measure("features")


def last_hidden_weights(agent: DQNAgent, problem: Lander) -> slice:
    sizes = (8 + problem.policy_state()["codes"].shape[1], *agent.hidden)
    blocks = [(inputs + (3 if agent.layer_norm else 1)) * units for inputs, units in pairwise(sizes)]
    start = sum(blocks[:-1])
    return slice(start, start + sizes[-2] * sizes[-1] * (2 if agent.dueling else 1))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_absent_task_in_a_mixed_batch(encoding: str) -> None:
    settings = DQNAgent.model_validate(
        {"kind": "dqn", "hidden": SMALL, "task_encoding": encoding, "replay": {"kind": "mixed"}}
    )
    problem = lander(**settings.model_dump())
    fill(problem, 200, tasks=(0, 2))
    batch = problem.replay.sample(64)
    expected = peer.losses(problem, settings, batch)
    found = problem.dqn.gradients(batch)
    assert batch.counts[1] == 0
    assert found.active.tolist() == [True, False, True]
    assert found.norms("all_shared")[1] == found.losses[1] == 0
    found.combine(ONES, ONES)
    parameters, codes = combined(problem)
    gradients = expected.gradients(shares(batch, settings))
    assert_near(parameters, gradients[0])
    if encoding == "embedding":
        assert_near(codes, gradients[1])
        assert not codes[1].any()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_mixed_batch_has_the_gradient_of_its_mean_loss_also_when_the_tasks_have_equal_rows(
    encoding: str,
) -> None:
    agent: dict[str, Any] = {
        "hidden": SMALL,
        "task_encoding": encoding,
        "batch_size": 8,
        "replay": {"kind": "mixed"},
    }
    problem = lander(tasks=TASKS[:2], **agent)
    settings = DQNAgent.model_validate({"kind": "dqn", **agent})
    fill(problem, 50)
    seen = set()
    for _ in range(40):
        batch = problem.replay.sample(8)
        seen.add(batch.counts)
        expected = peer.losses(problem, settings, batch)
        problem.dqn.gradients(batch).combine(ONES[:2], ONES[:2])
        assert_near(combined(problem)[0], expected.gradients([count / 8 for count in batch.counts])[0])
    assert {(4, 4), (3, 5)} <= seen


@pytest.mark.parametrize("agent", [{}, {"task_encoding": "embedding"}, {"replay": {"kind": "mixed"}}])
def test_balancers_leave_the_network_step_to_the_weights_bit_for_bit(agent: dict[str, Any]) -> None:
    """GradNorm looks at gradients and learns weights; the network's gradient is still the weighted sum's."""
    problem, settings = started(agent)
    gradnorm = GradNorm(lr=0.1, initial_window=1)
    balancing = Balancing(Chain((gradnorm,)), TASKS, 0)
    for _ in range(20):
        batch = batch_of(problem, settings)
        gradients = problem.dqn.gradients(batch)
        decision = balancing.balance(gradients)
        gradients.combine(decision.shared, decision.own)
        by_gradnorm = [tensor.clone() for tensor in combined(problem)]

        weights = dict(zip(TASKS, decision.shared.tolist(), strict=True))
        manual = Balancing(Chain((Manual(weights=weights),)), TASKS, 0)
        again = problem.dqn.gradients(batch)
        fixed = manual.balance(again)
        again.combine(fixed.shared, fixed.own)
        assert all(map(torch.equal, by_gradnorm, combined(problem)))
        problem.update()
    assert decision.shared.std() > 0.01


def test_gradients_of_independent_networks_stay_apart() -> None:
    problem, settings = started(independent())
    gradients = problem.dqn.gradients(batch_of(problem, settings))
    gramian = gradients.gramian("all_shared")
    assert torch.equal(gramian, gramian.diagonal().diag())
    assert (gramian.diagonal() > 0).all()
