"""Residuals of each task's own: their gradients, their noise, their price, and what is learned with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtctl.errors import MtctlError
from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.networks.registry import builder
from mtctl.problems.lander.networks.varshare import VarShareNetwork, divergence, prior_slope
from mtctl.problems.lander.problem import Lander
from mtctl.problems.lander.values import SCALAR
from mtctl.recipes.loading import load
from tests.engine.runs import execute
from tests.problems.lander.landers import ONES, SMALL, TASKS, fill, lander
from tests.recipes.samples import lander as sample

SHAPES: dict[str, dict[str, Any]] = {"full": {}, "low rank": {"rank": 3}}
EVEN, UNEVEN = (5, 5, 5), (4, 0, 7)
OFF = torch.zeros(3, dtype=torch.float64)


def built(agent: DQNAgent, seed: int = 0) -> VarShareNetwork:
    network = builder(agent, 3, SCALAR, torch.Generator().manual_seed(seed))()
    assert isinstance(network, VarShareNetwork)
    return network


def network(encoding: str = "none", **shape: Any) -> VarShareNetwork:
    """Return a small network whose residuals have means and variances that matter."""
    architecture = {"kind": "varshare", "initial_rho": -1.0, **shape}
    settings = {"hidden": SMALL, "task_encoding": encoding, "embedding_dim": 3, "architecture": architecture}
    found = built(DQNAgent.model_validate(settings))
    generator = torch.Generator().manual_seed(1)
    for numbers in (found.own, found.parameters):
        numbers.add_(torch.zeros_like(numbers).normal_(0.0, 0.3, generator=generator))
    return found


def varshare(agent: dict[str, Any] | None = None, seed: int = 0, **shape: Any) -> Lander:
    """Return a small lander with made-up transitions in replay."""
    architecture = {"kind": "varshare", **shape}
    problem = lander(hidden=SMALL, architecture=architecture, seed=seed, **(agent or {}))
    fill(problem, 100)
    return problem


def step(problem: Lander, shared: Tensor = ONES, own: Tensor = ONES) -> None:
    gradients = problem.dqn.gradients(problem.replay.sample(64, None))
    gradients.combine(shared, own)
    problem.update()


def online(problem: Lander) -> VarShareNetwork:
    network = problem.dqn.online
    assert isinstance(network, VarShareNetwork)
    return network


def rows(counts: Sequence[int], seed: int = 2) -> Tensor:
    return torch.zeros(sum(counts), 8).normal_(generator=torch.Generator().manual_seed(seed))


class Peer:
    """The same network written out in float64, one task at a time, from its flat numbers."""

    def __init__(self, of: VarShareNetwork, inputs: int, rank: int | None) -> None:
        self.layers = list(pairwise((inputs, *SMALL, 4)))
        self.rank, self.of = rank, of

    def residuals(self, own: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return μ and σ [in, out] of every layer, of one task's own numbers."""
        means, at = [], 0
        for inputs, units in self.layers:
            parts = [(inputs, units)]
            if self.rank is not None:
                least = min(self.rank, inputs, units)
                parts = [(inputs, least), (least, units)]
            factors = []
            for shape in parts:
                factors.append(own[at : at + shape[0] * shape[1]].reshape(shape))
                at += shape[0] * shape[1]
            means.append(factors[0] if self.rank is None else factors[0] @ factors[1])
        sds = []
        for inputs, units in self.layers:
            size = units if self.rank is not None else inputs * units
            sds.append(torch.nn.functional.softplus(own[at : at + size]).reshape(-1, units))
            at += size
        assert at == len(own)
        return [(mean, sd.expand_as(mean)) for mean, sd in zip(means, sds, strict=True)]

    def weights(self, shared: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return θ and b of every layer."""
        sizes = [inputs * units for inputs, units in self.layers]
        thetas = shared[: sum(sizes)].split(sizes)
        biases = shared[sum(sizes) :].split([units for _, units in self.layers])
        pairs = zip(thetas, self.layers, biases, strict=True)
        return [(theta.reshape(shape), bias) for theta, shape, bias in pairs]

    def outputs(
        self, task: int, x: Tensor, noises: Sequence[Tensor], shared: Tensor, own: Tensor, code: Tensor
    ) -> Tensor:
        hidden = torch.cat([x, code.expand(len(x), -1)], dim=1)
        parts = zip(self.weights(shared), self.residuals(own), noises, strict=True)
        for layer, ((theta, bias), (mean, sd), noise) in enumerate(parts):
            hidden = hidden.relu() if layer else hidden
            spread = (hidden.square() @ sd.square()).sqrt()
            hidden = hidden @ (theta + mean) + bias + spread * noise[task, : len(x)]
        return hidden


def noises(state: Tensor, most: int) -> list[Tensor]:
    """Return what a network's generator draws next: [T, most, units] of every layer."""
    units = (*SMALL, 4)
    generator = torch.Generator()
    generator.set_state(state)
    drawn = torch.zeros(3 * most * sum(units)).normal_(generator=generator).double()
    parts = drawn.split([3 * most * each for each in units])
    return [part.reshape(3, most, each) for part, each in zip(parts, units, strict=True)]


def slope(of: Callable[[Tensor], Tensor], at: Tensor, along: Tensor, width: float = 1e-6) -> float:
    """Return the derivative along a direction, by central differences in float64."""
    return float(of(at + width * along) - of(at - width * along)) / (2 * width)


@pytest.mark.parametrize("counts", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("encoding", ["none", "embedding"])
def test_gradients_are_the_numerical_ones(
    encoding: str, shape: dict[str, Any], counts: tuple[int, ...]
) -> None:
    found = network(encoding, **shape)
    peer = Peer(found, 8 + found.codes.shape[1], shape.get("rank"))
    x, factor = rows(counts), rows(counts, 3)[:, :4]
    drawn = noises(found._noise.get_state(), max(counts))
    outputs = found.learn(x, counts)
    slopes = found.backward(x, factor, counts)
    shared = found.parameters[0].double()
    generator = torch.Generator().manual_seed(4)
    for task, (own_rows, own_outputs, weights) in enumerate(
        zip(x.split(counts), outputs.split(counts), factor.split(counts), strict=True)
    ):
        own, code = found.own[task].double(), found.codes[task].double()

        answer = partial(peer.outputs, task, own_rows.double(), drawn)
        torch.testing.assert_close(own_outputs.double(), answer(shared, own, code), rtol=1e-4, atol=1e-4)
        numbers = [shared, own, code]
        gradients = [slopes.shared[task], slopes.own[-1][task], *(part[task] for part in slopes.own[:-1])]
        for place, gradient in enumerate(gradients):
            along = torch.randn(len(gradient), generator=generator).double()

            def loss(moved: Tensor, place: int = place, case: Any = (answer, numbers, weights)) -> Tensor:
                of, others, by = case
                outputs: Tensor = of(*others[:place], moved, *others[place + 1 :])
                weighted: Tensor = outputs * by.double()
                return weighted.sum()

            numerical = slope(loss, numbers[place], along)
            assert float(gradient.double() @ along) == pytest.approx(numerical, rel=2e-3, abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_penaltys_gradient_is_the_numerical_one(shape: dict[str, Any]) -> None:
    found = network(prior_sd=0.5, learned_prior=True, beta=0.01, **shape)
    peer = Peer(found, 8, shape.get("rank"))
    found.learn(rows(EVEN), EVEN)
    assert found.penalty is not None
    found.own.grad = torch.zeros_like(found.own)
    found.add_penalty()
    prior = found.leaves()[-1]
    assert prior.grad is not None

    def penalty(own: Tensor, log_prior: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for task in own:
            for mean, sd in peer.residuals(task):
                posterior = torch.distributions.Normal(mean, sd)
                wanted = torch.distributions.Normal(torch.zeros_like(mean), log_prior.exp())
                total += torch.distributions.kl_divergence(posterior, wanted).sum()
        return 0.01 * total

    own, log_prior = found.own.double(), prior.double()
    assert float(found.penalty) == pytest.approx(float(penalty(own, log_prior)), rel=1e-5)
    generator = torch.Generator().manual_seed(4)
    for _ in range(5):
        along = torch.zeros_like(own).normal_(generator=generator)
        numerical = slope(lambda moved: penalty(moved, log_prior), own, along)
        assert float((found.own.grad.double() * along).sum()) == pytest.approx(numerical, rel=1e-4)
    numerical = slope(lambda moved: penalty(own, moved), log_prior, torch.ones(1))
    assert float(prior.grad) == pytest.approx(numerical, rel=1e-4)


@given(sd=st.floats(1e-4, 10), mean=st.floats(-2, 2), prior=st.floats(1e-3, 10), times=st.integers(1, 5))
def test_divergence_of_single_weights(sd: float, mean: float, prior: float, times: int) -> None:
    numbers = torch.full((2, times), mean), torch.full((2, 1), sd**2), torch.tensor([float(times)])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(torch.tensor(mean, dtype=torch.float64), sd),
        torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), prior),
    )
    found = divergence(*numbers, precision=prior**-2)
    assert found.tolist() == pytest.approx([times * float(expected)] * 2, rel=1e-4, abs=1e-4)
    by_sd = times * (1 / prior - (sd**2 + mean**2) / prior**3)
    scale = times * (1 + (sd**2 + mean**2) / prior**2)
    log_slope = prior_slope(*numbers, precision=prior**-2)
    assert log_slope.tolist() == pytest.approx([by_sd * prior] * 2, rel=1e-4, abs=1e-5 * scale)


def test_nothing_is_paid_at_the_prior() -> None:
    found = network(prior_sd=0.5)
    found.own.zero_()
    found._rho.fill_(float(torch.tensor(0.5).expm1().log()))
    found.learn(rows(EVEN), EVEN)
    found.own.grad = torch.zeros_like(found.own)
    found.add_penalty()
    assert found.penalty is not None
    assert float(found.penalty) == pytest.approx(0.0, abs=1e-8)
    assert found.own.grad.abs().max() < 1e-9
    found._rho.add_(0.1)
    assert found.signals()["kl"].min() > 1.0


@pytest.mark.parametrize("agent", [{}, {"replay": {"kind": "mixed"}}], ids=["per task", "mixed"])
def test_the_price_of_a_nat(agent: dict[str, Any]) -> None:
    """Neither rows nor task weights change it; beside the mean over all tasks' rows it is a mean as well."""
    for size in (16, 64):
        problem = varshare({**agent, "batch_size": size}, beta=0.01, prior_sd=0.5)
        gradients = problem.dqn.gradients(problem.replay.sample(size, None))
        assert gradients.auxiliary is not None
        kl = sum(value or 0.0 for value in problem.inspect()["kl"].values())
        share = 1 / 3 if agent else 1.0
        assert float(gradients.auxiliary) == pytest.approx(0.01 * share * kl, rel=1e-5)
        gradients.combine(OFF, OFF)
        network = online(problem)
        unweighted = network.own.grad
        assert unweighted is not None
        assert network.gradient.eq(0).all()
        network.own.grad = torch.zeros_like(network.own)
        network.add_penalty()
        assert torch.equal(unweighted, network.own.grad)
        assert unweighted.abs().sum() > 0


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_sums_are_distributed_as_with_sampled_weights(shape: dict[str, Any]) -> None:
    """Each row's outputs have the mean and the variance that weights drawn for the row alone give them."""
    found, count = network(**shape), 20_000
    x = rows((1,)).expand(3 * count, 8).clone()
    sampled = found.learn(x, (count,) * 3).double().unflatten(0, (3, count))
    peer = Peer(found, 8, shape.get("rank"))
    generator = torch.Generator().manual_seed(5)
    for task in range(3):
        hidden = x[:count].double().unsqueeze(1)
        parts = zip(
            peer.weights(found.parameters[0].double()), peer.residuals(found.own[task].double()), strict=True
        )
        for layer, ((theta, bias), (mean, sd)) in enumerate(parts):
            noise = torch.randn(count, *mean.shape, generator=generator).double()
            hidden = (hidden.relu() if layer else hidden) @ (theta + mean + sd * noise) + bias
        explicit = hidden.squeeze(1)
        pair = (sampled[task], explicit)
        for one, other in (pair, [(each - each.mean(0)).square() for each in pair]):
            error = ((one.var(0) + other.var(0)) / count).sqrt()
            assert ((one.mean(0) - other.mean(0)).abs() < 4.5 * error).all()
        assert sampled[task].std(0).min() > 0.1


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("counts", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_each_row_uses_its_own_tasks_weights(counts: tuple[int, ...], shape: dict[str, Any]) -> None:
    found = network(**shape)
    x, state = rows(counts), found._noise.get_state()
    means, samples = found.forward(x, counts).clone(), found.learn(x, counts).clone()
    alone = [found.answer_one(row, 2) for row in x[-counts[2] :]]
    found.own[2].mul_(0.5)
    moved = found.forward(x, counts).clone()
    found._noise.set_state(state)
    changed = [(moved - means).abs().sum(1) > 1e-3, (found.learn(x, counts) - samples).abs().sum(1) > 1e-3]
    for rows_changed in changed:
        assert rows_changed.tolist() == [False] * (len(x) - counts[2]) + [True] * counts[2]
    for row, one, before, after in zip(
        x[-counts[2] :], alone, means[-counts[2] :], moved[-counts[2] :], strict=True
    ):
        torch.testing.assert_close(one, before)
        torch.testing.assert_close(found.answer_one(row, 2), after)


def test_only_learning_draws_noise() -> None:
    before = torch.get_rng_state()
    problem = varshare({"double": True, "advantage_learning": 0.5}, prune=0.01)
    network = online(problem)

    def state() -> Tensor:
        return network._noise.get_state()

    first = state()
    network.act(torch.zeros(8), 1)
    network.forward(rows(EVEN), EVEN)
    problem.inspect()
    problem.evaluate(1, "monitor", ("windy",))
    assert torch.equal(state(), first)
    problem.dqn.gradients(problem.replay.sample(16, None))
    learned = state()
    assert not torch.equal(learned, first)
    problem.revisit()
    assert torch.equal(state(), learned)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("shape", "encoding"), [
    ({}, "none"), ({}, "onehot"), ({"rank": 4}, "none"), ({"learned_prior": True}, "embedding"),
])  # fmt: skip
def test_numbers_are_counted(shape: dict[str, Any], encoding: str) -> None:
    agent = DQNAgent.model_validate(
        {"task_encoding": encoding, "architecture": {"kind": "varshare", **shape}}
    )
    found = built(agent)
    counted = agent.architecture.numbers((8, *agent.hidden, 4), agent.codes(3))
    embedded = found.codes.numel() if found.learned_codes else 0
    assert found.count == counted.shared + 3 * counted.own + embedded
    assert found.parameters.numel() + shape.get("learned_prior", False) == counted.shared
    if (shape, encoding) == ({}, "none"):
        assert found.count == 247_684 == 35_716 + 3 * 2 * 35_328
    weights = found.parameters[0, found.last_shared()]
    assert len(weights) == 256 * 128
    assert float(weights.std()) == pytest.approx((2 / 256) ** 0.5, rel=0.02)


def test_residuals_start_without_a_mean() -> None:
    for shape in SHAPES.values():
        agent = DQNAgent.model_validate({"architecture": {"kind": "varshare", **shape}})
        found, same = built(agent), built(agent)
        assert torch.equal(found.own, same.own)
        assert torch.equal(found._noise.get_state(), same._noise.get_state())
        answers = found.forward(rows((1,)).expand(3, 8), (1, 1, 1))
        assert torch.equal(answers, answers[:1].expand(3, 4))
        assert found._means.values().eq(0).all()
        assert found._rho.eq(-5).all()


def spread_of_tasks(problem: Lander) -> float:
    """Return by how much tasks' values of the same observations differ at most."""
    x = rows((50,)).repeat(3, 1)
    answers = online(problem).forward(x, (50, 50, 50)).unflatten(0, (3, 50))
    return float((answers - answers.mean(0)).abs().max())


def test_a_high_price_leaves_one_network() -> None:
    """β = 1e4: residuals end at the prior, and all tasks answer alike; β = 0: they do not."""
    differences = {}
    for beta in (0.0, 1e4):
        problem = varshare({"lr": 1e-2}, beta=beta, prior_sd=0.02)
        online(problem)._means.values().normal_(0.0, 0.05, generator=torch.Generator().manual_seed(0))
        for update in range(400):
            gradients = problem.dqn.gradients(problem.replay.sample(64, None))
            gradients.combine(ONES, ONES)
            problem.dqn.update(1 - update / 400)
        differences[beta] = spread_of_tasks(problem)
    assert differences[1e4] < 1e-3
    assert differences[0.0] > 1.0
    assert float(online(problem)._means.values().abs().max()) < 1e-4
    sd = torch.nn.functional.softplus(online(problem)._rho)
    torch.testing.assert_close(sd, torch.full_like(sd, 0.02), rtol=0.2, atol=0.0)


def test_without_a_price_or_shared_weights_tasks_learn_as_if_they_were_alone() -> None:
    """β = 0, θ = b = 0 and frozen: task 0's residual is the same whatever the others learn from."""
    problems = [varshare(beta=0.0), varshare(beta=0.0)]
    for problem, seed in zip(problems, (1, 2), strict=True):
        fill(problem, 100, tasks=[0], seed=0)
        fill(problem, 100, tasks=[1, 2], seed=seed)
        network = online(problem)
        network.parameters.zero_()
        network._means.values().normal_(0.0, 0.3, generator=torch.Generator().manual_seed(0))
        problem.dqn.refresh_target()
        for _ in range(20):
            step(problem, shared=OFF)
        assert network.parameters.eq(0).all()
    one, other = (online(problem).own for problem in problems)
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])
    fresh = online(varshare(beta=0.0))
    fresh._means.values().normal_(0.0, 0.3, generator=torch.Generator().manual_seed(0))
    assert (one[0] - fresh.own[0]).abs().max() > 1e-3


def test_a_learned_prior_follows_the_residuals() -> None:
    """Its optimum is σ_p² = the mean of σ² + μ²."""
    problem = varshare({"lr": 1e-2}, learned_prior=True, prior_sd=1.0, beta=1e-3)
    for _ in range(500):
        step(problem)
    network = online(problem)
    squares = network._means.values().square() + torch.nn.functional.softplus(network._rho).square()
    assert float(network.leaves()[-1].exp()) == pytest.approx(float(squares.mean().sqrt()), rel=0.1)
    assert float(network.leaves()[-1].exp()) < 0.5


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_blind_network_learns_what_is_best_in_each_task(shape: dict[str, Any]) -> None:
    """Action i is worth 1 in task i, others 0: without residuals no network could tell which to take."""
    problem = varshare({"lr": 3e-3, "gamma": 0.0}, prior_sd=0.1, beta=1e-5, **shape)
    problem.replay = problem._build_replay()
    generator = torch.Generator().manual_seed(0)
    for number in range(600):
        task, action = number % 3, number % 4
        observation = torch.randn(8, generator=generator).numpy()
        problem.replay.add(task, observation, action, float(action == task), observation, 0.0)
    for _ in range(600):
        step(problem)
    x = torch.randn(100, 8, generator=generator)
    for task in range(3):
        outputs = torch.stack([online(problem).answer_one(row, task) for row in x])
        assert (outputs.argmax(1) == task).float().mean() > 0.95
        wanted = torch.eye(4)[task].expand_as(outputs)
        assert float((outputs - wanted).square().mean()) < 0.05


def test_pruning_is_for_evaluations_and_reported() -> None:
    problem, plain = varshare(prune=0.005), varshare()
    for each in (problem, plain):
        for _ in range(30):
            step(each)
    assert torch.equal(online(problem).own, online(plain).own)
    network = online(problem)
    means = network._means.values()
    kept = means.abs() >= 0.005
    shares = problem.inspect()["kept_share"]
    assert list(shares) == list(TASKS)
    assert list(shares.values()) == pytest.approx(kept.double().mean(1).tolist())
    assert "kept_share" not in plain.inspect()
    assert 0.01 < kept.double().mean() < 0.99
    x = rows((1,))[0]
    pruned = network.for_evaluation()
    assert torch.equal(network.answer_one(x, 1), online(plain).answer_one(x, 1))
    means.mul_(kept)
    torch.testing.assert_close(pruned.answer_one(x, 1), network.answer_one(x, 1))
    torch.testing.assert_close(pruned.forward(x.expand(3, 8), (1, 1, 1))[1], network.answer_one(x, 1))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_evaluations_play_without_pruned_residuals(shape: dict[str, Any]) -> None:
    problem, bare = varshare(prune=1e6, **shape), varshare(**shape)
    online(problem).own.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(0))
    scores = [each.evaluate(1, "monitor", ("windy",))["windy"].scores for each in (problem, bare)]
    assert scores[0] == scores[1]
    assert problem.inspect()["kept_share"] == dict.fromkeys(TASKS, 0.0)


@pytest.mark.parametrize("shape", [{}, {"rank": 2}, {"learned_prior": True}], ids=str)
def test_a_run_goes_on_as_it_would_have(shape: dict[str, Any]) -> None:
    agent = {"task_encoding": "embedding", "target": {"kind": "soft"}}
    original, restored = (varshare(agent, seed, **shape) for seed in (0, 1))
    for _ in range(5):
        step(original)
    restored.load_state_dict(original.state_dict())
    for _ in range(3):
        step(original)
        step(restored)
    for one, other in zip(online(original).leaves(), online(restored).leaves(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(online(original)._noise.get_state(), online(restored)._noise.get_state())
    assert online(original).penalty == online(restored).penalty


def test_rewinding_restores_the_noise() -> None:
    problem = varshare()
    step(problem)
    problem.mark()
    losses = problem.dqn.gradients(problem.replay.sample(16, None)).losses.tolist()
    assert problem.dqn.gradients(problem.replay.sample(16, None)).losses.tolist() != losses
    problem.rewind()
    assert problem.dqn.gradients(problem.replay.sample(16, None)).losses.tolist() == losses


def test_averaged_weights_are_a_network_of_their_own() -> None:
    problem = lander(
        hidden=SMALL, architecture={"kind": "varshare", "learned_prior": True, "prune": 1e-4}, averaging=0.5
    )
    fill(problem, 100)
    for _ in range(4):
        step(problem)
    played, learning = problem.dqn.played, online(problem)
    assert played is not learning
    assert isinstance(played, VarShareNetwork)
    assert played._log_prior != learning._log_prior
    shares = problem.inspect()["kept_share"].values()
    assert list(shares) == played.signals()["kept_share"].tolist()


@pytest.mark.parametrize("balancer", ["{kind: gradnorm}", "{kind: pcgrad}"])
def test_methods_balance_what_is_shared(tmp_path: Path, balancer: str) -> None:
    recipe = sample("varshare_pruned", [
        f"balancer={balancer}", "problem.episodes_per_task=1", "agent.hidden=[16, 8]", "evaluation.every=0",
        "evaluation.final_episodes=1", "agent.replay.learning_starts=64", "agent.update_every=4",
    ])  # fmt: skip
    for name in ("one", "other"):
        execute(recipe, 0, tmp_path / name)
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("one", "other")]
    assert metrics[0] == metrics[1]
    units = [record for line in metrics[0].splitlines() if (record := json.loads(line))["kind"] == "unit"]
    last = units[-1]["signals"]
    assert all(last["kl"][task] > 0 and 0 <= last["kept_share"][task] <= 1 for task in TASKS)
    assert all(norm > 0 for norm in last["own_gradient_norm"].values())


def test_a_divergence_that_is_not_finite_is_seen() -> None:
    problem = varshare()
    online(problem)._rho[1, 0] = float("-inf")
    gradients = problem.dqn.gradients(problem.replay.sample(16, None))
    assert gradients.auxiliary is not None
    assert not gradients.auxiliary.isfinite()


@pytest.mark.parametrize(("changes", "text"), [
    (["agent.architecture.rank=128"], "residuals between hidden layers have rank 128 at most"),
    (["agent.weight_decay=1e-4"], "needs `weight_decay: 0`"),
    (["agent.network=independent"], "needs `architecture: {kind: mlp}`, not `varshare`"),
    (["agent.layer_norm=true"], "needs `architecture: {kind: mlp}`, not `varshare`"),
    (["agent.architecture.prior_sd=0"], "prior_sd"),
    (["agent.architecture.initial_rho=9"], "initial_rho"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(changes: list[str], text: str) -> None:
    with pytest.raises(MtctlError) as found:
        load("varshare", changes)
    assert text in str(found.value)
