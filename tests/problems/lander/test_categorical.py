"""Distributions over returns: projections against their definitions, gradients, and what is learned."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtctl.problems.lander.agents import Categorical, DQNAgent
from mtctl.problems.lander.categorical import (
    CategoricalValues,
    gaussian,
    projected,
    projected_as_published,
)
from mtctl.problems.lander.problem import Lander
from tests.problems.lander.landers import ONES, fill, independent, lander

PUBLISHED = torch.linspace(-100, 300, 21, dtype=torch.float64)


def by_the_book(
    p: list[float], moved: list[float], atoms: list[float], *, defect: bool = False
) -> list[float]:
    """Return the projection of Bellemare et al., 2017, algorithm 1, atom by atom."""
    low, high, found = atoms[0], atoms[-1], [0.0] * len(atoms)
    for share, target in zip(p, moved, strict=True):
        b = (min(max(target, low), high) - low) / ((high - low) / (len(atoms) - 1))
        below, above = math.floor(b), math.ceil(b)
        if below == above:
            found[below] += 0.0 if defect else share
        else:
            found[below] += share * (above - b)
            found[above] += share * (b - below)
    return found


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[float], float, float, list[float]]:
    """Return probabilities, a reward, γⁿ or 0, and atoms; rewards fall on atoms as often as not."""
    count = draw(st.integers(2, 12))
    low = draw(st.integers(-100, 90))
    step = draw(st.sampled_from([0.25, 0.5, 1.0, 20.0]))
    atoms = [low + step * place for place in range(count)]
    weights = draw(
        st.lists(st.floats(0, 1), min_size=count, max_size=count).filter(lambda each: sum(each) > 0.1)
    )
    reward = draw(st.one_of(st.floats(-500, 500), st.sampled_from(atoms)))
    bootstrap = draw(st.sampled_from([0.0, 0.5, 0.99, 1.0]))
    return [weight / sum(weights) for weight in weights], reward, bootstrap, atoms


@settings(deadline=None, max_examples=200)
@given(row=rows())
def test_the_projection_keeps_all_mass_and_is_the_papers(
    row: tuple[list[float], float, float, list[float]],
) -> None:
    p, reward, bootstrap, atoms = row
    moved = [reward + bootstrap * atom for atom in atoms]
    support, where = torch.tensor(atoms, dtype=torch.float64), torch.tensor([moved], dtype=torch.float64)
    found = projected(torch.tensor([p], dtype=torch.float64), where, support)[0]
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-12)
    assert float(found.min()) >= 0
    assert found.tolist() == pytest.approx(by_the_book(p, moved, atoms), abs=1e-9)
    clipped = [min(max(each, atoms[0]), atoms[-1]) for each in moved]
    mean = sum(share * each for share, each in zip(p, clipped, strict=True))
    assert float(found @ support) == pytest.approx(mean, abs=1e-9 * (1 + abs(mean)))


@settings(deadline=None, max_examples=100)
@given(row=rows())
def test_the_published_defect_is_the_books_with_its_gap(
    row: tuple[list[float], float, float, list[float]],
) -> None:
    p, reward, bootstrap, atoms = row
    reward, bootstrap = round(reward * 4) / 4, round(bootstrap * 4) / 4  # exact in binary, as the atoms are
    moved = [reward + bootstrap * atom for atom in atoms]
    support, where = torch.tensor(atoms, dtype=torch.float64), torch.tensor([moved], dtype=torch.float64)
    found = projected_as_published(torch.tensor([p], dtype=torch.float64), where, support)[0]
    assert found.tolist() == pytest.approx(by_the_book(p, moved, atoms, defect=True), abs=1e-9)


@pytest.mark.parametrize("reward", [-100.0, 100.0, 300.0, -376.0])
def test_the_published_defect_loses_every_crash_and_landing(reward: float) -> None:
    p = torch.full((1, 21), 1 / 21, dtype=torch.float64)
    where = torch.full_like(p, reward)
    assert float(projected_as_published(p, where, PUBLISHED).sum()) == 0.0
    assert float(projected(p, where, PUBLISHED).sum()) == pytest.approx(1.0)


@settings(deadline=None, max_examples=100)
@given(mean=st.floats(-30, 30), sigma=st.floats(0.3, 3), count=st.integers(2, 40))
def test_a_gaussian_target_is_the_normal_distribution_cut_at_the_ends(
    mean: float, sigma: float, count: int
) -> None:
    atoms = torch.linspace(-10, 10, count, dtype=torch.float64)
    found = gaussian(torch.tensor([mean], dtype=torch.float64), atoms, sigma)[0]
    step, inside = 20 / (count - 1), min(max(mean, -10.0), 10.0)

    def below(edge: float) -> float:
        return 0.5 * math.erf((edge - inside) / (sigma * step * math.sqrt(2)))

    parts = [below(float(atom) + step / 2) - below(float(atom) - step / 2) for atom in atoms]
    assert found.tolist() == pytest.approx([part / sum(parts) for part in parts], abs=1e-9)
    assert float(found.sum()) == pytest.approx(1.0)


def test_a_gaussian_target_away_from_the_ends_has_the_mean_it_stands_for() -> None:
    means = torch.linspace(-6, 6, 50, dtype=torch.float64)
    atoms = torch.linspace(-10, 10, 21, dtype=torch.float64)
    torch.testing.assert_close(gaussian(means, atoms, 0.75) @ atoms, means, rtol=0, atol=1e-4)


def test_slopes_are_autograds_and_priorities_the_divergence() -> None:
    generator = torch.Generator().manual_seed(0)
    values = CategoricalValues(Categorical(atoms=7), 0.0)
    outputs = torch.randn(9, 28, generator=generator, requires_grad=True)
    actions = torch.randint(4, (9, 1), generator=generator)
    targets = torch.rand(9, 7, generator=generator).softmax(1)
    found = values.lesson(outputs.detach(), actions, targets)
    logits = outputs.view(9, 4, 7)[torch.arange(9), actions[:, 0]]
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(found.losses, losses.detach())
    divergence = torch.nn.functional.kl_div(logits.log_softmax(1), targets, reduction="none").sum(1)
    torch.testing.assert_close(found.errors, divergence.detach(), rtol=1e-4, atol=1e-6)
    (by_outputs,) = torch.autograd.grad(losses.sum(), outputs)
    taken = by_outputs.view(9, 4, 7)[torch.arange(9), actions[:, 0]]
    torch.testing.assert_close(found.slopes, taken, rtol=1e-4, atol=1e-6)


RESIDUAL = {"hidden": (16,), "architecture": {"kind": "residual"}}
AGENTS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "mlp-embedding-mixed": {"task_encoding": "embedding", "replay": {"kind": "mixed"}},
    "norm": {"layer_norm": True},
    "advantages": {"advantage_learning": 0.9, "double": True},
    "gaussian": {"categorical": {"atoms": 11, "projection": "hl_gauss"}},
    "priority": {"replay": {"priority": {}}},
    "independent": independent(double=True),
    "multi_head": {"architecture": {"kind": "multi_head"}},
    "soft_modular": {"architecture": {"kind": "soft_modular"}, "task_encoding": "embedding"},
    "residual": {**RESIDUAL, "task_encoding": "embedding", "double": True},
    "bronet-mixed": {
        **RESIDUAL,
        "architecture": {"kind": "residual", "layout": "bronet"},
        "replay": {"kind": "mixed"},
    },
}

C51 = {name: agent for name, agent in AGENTS.items() if name != "gaussian"}


def started(agent: dict[str, Any]) -> Lander:
    problem = lander(**{"hidden": (16, 8), "categorical": {"atoms": 11}, **agent})
    fill(problem, 200)
    for _ in range(3):
        problem.dqn.gradients(problem.replay.sample(16)).combine(ONES, ONES)
        problem.update()
    return problem


@pytest.mark.parametrize("agent", C51.values(), ids=C51)
def test_losses_are_the_cross_entropy_to_the_targets_by_the_book(agent: dict[str, Any]) -> None:
    problem = started(agent)
    settings = problem._agent
    batch = problem.replay.sample(16)
    atoms = np.linspace(-10, 10, 11).tolist()

    def outputs(network: Any, observations: Tensor) -> Tensor:
        found: Tensor = network.forward(observations, batch.counts).double().clone().view(-1, 4, 11)
        return found

    ahead = outputs(problem.dqn._target, batch.next_observations).softmax(2)
    chosen = outputs(problem.dqn.online, batch.next_observations).softmax(2) if settings.double else ahead
    support = torch.tensor(atoms, dtype=torch.float64)
    behind = outputs(problem.dqn._target, batch.observations).softmax(2) @ support
    now = outputs(problem.dqn.online, batch.observations).log_softmax(2)
    losses = []
    rewards, bootstraps = batch.rewards.tolist(), batch.bootstraps.tolist()
    for row, (reward, bootstrap) in enumerate(zip(rewards, bootstraps, strict=True)):
        best, action = int((chosen[row] @ support).argmax()), int(batch.actions[row])
        gap = float(behind[row].max() - behind[row, action])
        shift = reward - settings.advantage_learning * gap
        moved = [shift + bootstrap * atom for atom in atoms]
        target = by_the_book(ahead[row, best].tolist(), moved, atoms)
        loss = -float(torch.tensor(target, dtype=torch.float64) @ now[row, action])
        losses.append(loss * (1.0 if batch.weights is None else float(batch.weights[row])))
    parts = torch.tensor(losses).split(list(batch.counts))
    expected = [float(part.mean()) if len(part) else 0.0 for part in parts]
    assert problem.dqn.gradients(batch).losses.tolist() == pytest.approx(expected, rel=1e-4)
    assert problem.revisit().tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
def test_gradients_are_the_losses_slopes_in_their_own_direction(agent: dict[str, Any]) -> None:
    """Central differences of each task's loss along its gradient."""
    problem = started(agent)
    found = problem.dqn.gradients(problem.replay.sample(16))
    parameters, jacobian = problem.dqn.online.parameters, found._jacobian.clone()
    before = parameters.clone()
    for task, row in enumerate(jacobian):
        place = task if len(parameters) > 1 else 0
        ends = []
        for sign in (1, -1):
            parameters[place] += sign * 5e-3 * row / row.norm()
            ends.append(float(problem.revisit()[task]))
            parameters.copy_(before)
        assert (ends[0] - ends[1]) / 1e-2 == pytest.approx(float(row.norm()), rel=0.02)


FIRST = np.array([0.5, 1.0, -0.3, 0.2, 0.1, -0.4, 1.0, 0.0], dtype=np.float32)
SECOND = np.array([-0.5, 0.2, 0.9, -0.6, 0.4, 0.3, 0.0, 1.0], dtype=np.float32)
REWARDS = (1.0, 0.5, -0.5, -1.0)
"""Of the four actions at the second observation, which each end an episode; all of them fall on atoms."""
SUPPORT = {"atoms": 17, "low": -2.0, "high": 2.0}


def chain(updates: int, *, terminal: bool = True, **agent: Any) -> Lander:
    """Return a lander that has learned: every action leads from FIRST to SECOND for 0.25, then ends."""
    problem = lander(
        gamma=0.9, **{"lr": 3e-3, "hidden": (32,), "target": {"kind": "soft", "tau": 0.2}, **agent}
    )
    for task, action in product(range(3), range(4)):
        problem.replay.add(task, SECOND, action, REWARDS[action], SECOND, 0.0)
        if not terminal:
            problem.replay.add(task, FIRST, action, 0.25, SECOND, 0.9)
    for _ in range(updates):
        problem.dqn.gradients(problem.replay.sample(32)).combine(ONES, ONES)
        problem.update()
    return problem


def expected_values(problem: Lander, observation: np.ndarray) -> list[float]:
    outputs = problem.dqn.online.forward(torch.from_numpy(observation)[None], (1, 0, 0))
    found: list[float] = problem.dqn.online.values.expected(outputs)[0].tolist()
    return found


@pytest.mark.parametrize("projection", ["c51", "hl_gauss"])
@pytest.mark.parametrize(
    "agent",
    [{}, independent(), {"architecture": {"kind": "residual"}, "double": True}],
    ids=["mlp", "independent", "residual"],
)
def test_what_is_learned_are_the_best_returns(projection: str, agent: dict[str, Any]) -> None:
    problem = chain(600, terminal=False, categorical={**SUPPORT, "projection": projection}, **agent)
    assert expected_values(problem, SECOND) == pytest.approx(REWARDS, abs=0.05)
    assert expected_values(problem, FIRST) == pytest.approx([0.25 + 0.9] * 4, abs=0.08)
    assert problem.dqn.online.act(torch.from_numpy(SECOND), 2) == 0


def test_with_the_published_defect_terminal_rewards_are_never_learned() -> None:
    """Not by any update: rows that end an episode on an atom move nothing."""
    defect = {**SUPPORT, "projection": "published_defect"}
    untouched, taught = (chain(updates, categorical=defect).dqn.online for updates in (0, 200))
    assert torch.equal(taught.parameters, untouched.parameters)
    ends = expected_values(chain(600, terminal=False, categorical=defect), SECOND)
    wrong = [abs(found - reward) for found, reward in zip(ends, REWARDS, strict=True)]
    assert max(wrong) > 0.5


def test_priorities_follow_what_is_left_to_learn() -> None:
    problem = chain(400, categorical=SUPPORT, replay={"kind": "per_task", "priority": {}})
    problem.replay.add(0, FIRST, 0, -1.75, FIRST, 0.0)
    batch = problem.replay.sample(64)
    errors = problem.dqn.gradients(batch).errors
    new = batch.observations.eq(torch.from_numpy(FIRST)).all(1)
    assert new.any()
    assert float(errors[new].min()) > 10 * float(errors[~new].max())
    assert float(errors.min()) > -1e-5


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ({"dueling": True, "categorical": {}}, r"dueling: `dueling` splits expected returns"),
        ({"categorical": {"low": 3, "high": 3}}, r"low: `low` \(3\) has to be below `high` \(3\)"),
    ],
)
def test_what_does_not_go_together(agent: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DQNAgent.model_validate(agent)
