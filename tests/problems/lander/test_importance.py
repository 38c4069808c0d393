"""Mixed replay: a method sees what the batch weighs, and its promise holds for what is applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtctl.balancing.chain import Chain, Decision
from mtctl.balancing.contract import Method
from mtctl.balancing.pcgrad import PCGrad
from mtctl.engine.fit import Balancing
from mtctl.engine.signals import SignalLog
from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.dqn import DQN, ReplayGradients
from mtctl.problems.lander.replay import ACTION, BOOTSTRAP, REWARD, TASK, WIDTH, Batch
from tests.balancing import cases
from tests.balancing.cases import METHODS, generator, names, seeded
from tests.balancing.test_properties import NEVER_CONFLICTING
from tests.problems.lander.landers import SMALL, fill, lander

MIXED: dict[str, Any] = {"kind": "dqn", "hidden": SMALL, "replay": {"kind": "mixed"}}
#: With two tasks PCGrad promises it too, and GradVac as long as it has not yet learned any angle.
OF_TWO = ("pcgrad", "pcgrad, mean", "gradvac", "config")

every_method = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())
uneven = st.sampled_from(
    [(56, 8), (8, 56), (0, 64), (1, 63), (32, 32), (40, 16, 8), (1, 2, 61), (0, 60, 4), (62, 1, 1), (5, 0, 0)]
)


def learner(tasks: int, seed: int, **agent: Any) -> DQN:
    """A network with weights that are seeded, for tasks that want opposite things of it."""
    return DQN(DQNAgent.model_validate({**MIXED, **agent}), names(tasks), generator(seed))


def drawn(counts: Sequence[int], seed: int) -> Batch:
    """Rows whose tasks disagree about the same actions, by rewards around +3, −3, +6, …"""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(sum(counts), WIDTH)).astype(np.float32)
    tasks = np.repeat(np.arange(len(counts)), counts)
    rows[:, ACTION] = rng.integers(2, size=len(rows))
    rows[:, REWARD] += 3.0 * (1 + tasks // 2) * (1 - 2 * (tasks % 2))
    rows[:, BOOTSTRAP], rows[:, TASK] = 0.0, tasks
    return Batch(torch.from_numpy(rows), tuple(counts))


def combined(dqn: DQN, gradients: ReplayGradients, shared: Tensor, own: Tensor | None = None) -> Tensor:
    """What lands in `.grad` of the shared network: [P]."""
    gradients.combine(shared, shared if own is None else own)
    grad = dqn.online.leaves()[0].grad
    assert grad is not None
    return grad.clone().double()


def applied(dqn: DQN, batch: Batch, chain: Chain) -> tuple[ReplayGradients, Decision, Tensor, Tensor]:
    """A first step: its gradients, its decision, the update [P], and the rows aᵢ·gᵢ [T, P] it is made of."""
    gradients = dqn.gradients(batch)
    decision, _ = chain.balance(gradients, chain.init(names(len(batch.counts))), seeded())
    ones = torch.eye(len(batch.counts), dtype=torch.float64)
    rows = torch.stack([combined(dqn, gradients, one) for one in ones])
    return gradients, decision, combined(dqn, gradients, decision.shared, decision.own), rows


@every_method
@given(counts=uneven, seed=st.integers(0, 20))
@example(counts=(56, 8), seed=0)
@settings(max_examples=8, deadline=None)
def test_the_update_is_the_method_s_on_what_the_batch_weighs(
    make: Callable[[Sequence[int]], Method], counts: tuple[int, ...], seed: int
) -> None:
    tasks = len(counts)
    chain, dqn, batch = Chain((make(range(tasks)),)), learner(tasks, seed), drawn(counts, seed)
    gradients, decision, update, rows = applied(dqn, batch, chain)
    shares = [count / sum(counts) for count in counts]
    losses = [share * loss for share, loss in zip(shares, gradients.losses.tolist(), strict=True)]
    seen = rows[:, dqn.online.last_shared()] if chain.methods[0].space == "last_shared" else rows
    explicit = cases.given(seen.numpy(), losses, [count > 0 for count in counts])
    expected, _ = chain.balance(explicit, chain.init(names(tasks)), seeded())
    torch.testing.assert_close(decision.shared, expected.shared, rtol=2e-3, atol=1e-9)
    torch.testing.assert_close(update, expected.shared @ rows, rtol=0, atol=2e-3 * float(update.norm()))


@pytest.mark.parametrize("name", [*NEVER_CONFLICTING, *OF_TWO])
@given(counts=uneven, seed=st.integers(0, 200))
@example(counts=(56, 8), seed=0)
@settings(max_examples=15, deadline=None)
def test_what_is_applied_conflicts_with_no_task(name: str, counts: tuple[int, ...], seed: int) -> None:
    counts = counts if name in NEVER_CONFLICTING else counts[:2]
    chain = Chain((METHODS[name](range(len(counts))),))
    batch = drawn(counts, seed)
    *_, update, rows = applied(learner(len(counts), seed), batch, chain)
    blur = 1e-5 * rows.norm(dim=1) * (update.norm() + rows.norm(dim=1).max())
    assert (rows @ update >= -blur).all()


def test_tasks_of_these_batches_do_conflict() -> None:
    """Without conflict the promise above would be kept by the plain sum."""
    harmed = 0
    for seed in range(20):
        *_, update, rows = applied(learner(2, seed), drawn((56, 8), seed), Chain((METHODS["equal"]([0, 1]),)))
        harmed += bool((rows @ update < -1e-3 * rows.norm(dim=1) * update.norm()).any())
    assert harmed >= 10


@pytest.mark.parametrize("name", ["gradnorm", "encodec", "longest norm", "adaptive_scaling"])
@pytest.mark.parametrize("counts", [(56, 8), (1, 2, 61)])
def test_logged_shares_are_those_of_what_is_added_up(name: str, counts: tuple[int, ...]) -> None:
    tasks = len(counts)
    chain, dqn, batch = Chain((METHODS[name](range(tasks)),)), learner(tasks, 3), drawn(counts, 3)
    gradients, decision, update, rows = applied(dqn, batch, chain)
    log = SignalLog(gradients.tasks, shared=True)
    log.add(gradients, decision, 0)
    found = log.flush()
    assert found is not None
    parts = decision.shared.unsqueeze(1) * rows
    torch.testing.assert_close(parts.sum(0), update, rtol=0, atol=1e-5 * float(update.norm()))
    lengths = parts.norm(dim=1)
    shares = list(found["gradient_share"].values())
    assert sum(shares) == pytest.approx(1.0)
    assert shares == pytest.approx((lengths / lengths.sum()).tolist(), rel=1e-4)
    assert list(found["weight"].values()) == pytest.approx(decision.shared.tolist())
    fractions = torch.tensor(counts) / sum(counts)
    assert list(found["own_weight"].values()) == pytest.approx((fractions * decision.own).tolist())
    assert list(found["loss"].values()) == pytest.approx(gradients.losses.tolist())
    if name == "longest norm":
        assert shares == pytest.approx([1 / tasks] * tasks, rel=1e-4)


@pytest.mark.parametrize("counts", [(56, 8), (0, 64), (20, 40, 4)])
def test_equal_weights_give_the_mean_over_the_batch(counts: tuple[int, ...]) -> None:
    """As a batch of one task would have it that owns all of these rows."""
    dqn, alone = learner(len(counts), 5), learner(1, 5)
    batch = drawn(counts, 5)
    _, decision, update, _ = applied(dqn, batch, Chain((METHODS["equal"](range(len(counts))),)))
    assert decision.shared.tolist() == [float(count > 0) for count in counts]
    whole = Batch(batch.rows, (sum(counts),))
    one = torch.ones(1, dtype=torch.float64)
    expected = combined(alone, alone.gradients(whole), one)
    torch.testing.assert_close(update, expected, rtol=0, atol=1e-6 * float(expected.norm()))


def test_learned_embeddings_follow_the_shares_and_the_weights_of_losses() -> None:
    dqn, batch = learner(2, 1, task_encoding="embedding"), drawn((56, 8), 1)
    gradients = dqn.gradients(batch)
    ones, own = torch.ones(2, dtype=torch.float64), torch.tensor([3.0, 0.5], dtype=torch.float64)
    combined(dqn, gradients, ones)
    (plain,) = [leaf.grad.clone() for leaf in dqn.online.leaves()[1:] if leaf.grad is not None]
    combined(dqn, gradients, ones, own)
    (weighted,) = [leaf.grad for leaf in dqn.online.leaves()[1:] if leaf.grad is not None]
    torch.testing.assert_close(weighted, plain * own.float().unsqueeze(1))
    mean_losses = learner(2, 1, task_encoding="embedding", replay={"kind": "per_task"})
    combined(mean_losses, mean_losses.gradients(batch), ones)
    (unshared,) = [leaf.grad for leaf in mean_losses.online.leaves()[1:] if leaf.grad is not None]
    torch.testing.assert_close(plain, unshared * torch.tensor([[0.875], [0.125]]))


def test_famo_is_shown_losses_before_and_after_on_one_scale() -> None:
    """Nothing has moved, so nobody's loss has fallen, whatever the shares."""
    replay = {"kind": "mixed", "learning_starts": 1}
    problem = lander(tasks=("standard", "windy"), hidden=SMALL, replay=replay)
    fill(problem, 100, tasks=(0,))
    fill(problem, 10, tasks=(1,), seed=1)
    chain = Chain((METHODS["famo"](range(2)),))
    state = chain.init(names(2))
    gradients = problem.dqn.gradients(problem.replay.sample(64))
    decision, state = chain.balance(gradients, state, seeded())
    still = chain.follow(gradients, problem.revisit(), decision, state)
    torch.testing.assert_close(still["0.logits"], state["0.logits"], rtol=0, atol=1e-12)


def test_no_step_of_pcgrad_raises_a_loss_to_first_order() -> None:
    problem = lander(
        tasks=("standard", "windy"), hidden=(32, 16), replay={"kind": "mixed", "learning_starts": 64}
    )
    balancing, conflicts, updates = Balancing(Chain((PCGrad(),)), problem.tasks, 0), 0, 0
    while updates < 400:
        problem.advance()
        gradients = problem.gradients()
        if gradients is None:
            continue
        updates += 1
        gramian, decision = gradients.gramian("all_shared"), balancing.balance(gradients)
        factors = decision.shared * torch.tensor(gradients.importance.tolist(), dtype=torch.float64)
        gains = gramian @ factors
        gradients.combine(decision.shared, decision.own)
        update = problem.dqn.online.leaves()[0].grad
        assert update is not None
        lengths = gramian.diagonal().sqrt()
        assert (gains >= -1e-4 * lengths * float(update.norm())).all()
        assert float(update.norm()) == pytest.approx(float((factors @ gains).clamp(min=0).sqrt()), rel=1e-2)
        conflicts += bool(gramian[0, 1] < 0)
        problem.update()
    assert conflicts >= 40
