"""A network that only says how it computes Q trains as the one with a hand-written backward pass."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from mtctl.problems.lander import networks
from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.flat import task_codes
from mtctl.problems.lander.network import QNetwork
from mtctl.problems.lander.problem import Lander
from tests.problems.lander.landers import SMALL, fill, independent, lander, learn
from tests.problems.lander.module_network import ModuleNetwork

AGENTS: dict[str, dict[str, Any]] = {
    "blind": {},
    "onehot": {"task_encoding": "onehot"},
    "embedding": {"task_encoding": "embedding", "double": True},
    "mixed": {"task_encoding": "embedding", "replay": {"kind": "mixed"}},
    "clipped": {"gradient_clip": 0.1, "target": {"kind": "soft"}},
    "independent": independent(),
    "one-task-at-a-time": independent(learn="active_task"),
}


def layers(inputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    sizes = (inputs, *hidden, 4)
    modules: list[nn.Module] = []
    for before, after in pairwise(sizes):
        modules += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def sequential(agent: DQNAgent, tasks: int, generator: torch.Generator) -> networks.Build:
    """What a new network's file would hold: its module, and how it is told the task."""

    def build() -> ModuleNetwork:
        codes = task_codes(agent.task_encoding, tasks, agent.embedding_dim, generator)
        return ModuleNetwork(
            codes,
            partial(layers, 8 + codes.shape[1], agent.hidden),
            f"{2 * len(agent.hidden) - 2}.weight",
            independent=agent.network == "independent",
            learned_codes=agent.task_encoding == "embedding",
            generator=generator,
        )

    return build


def in_modules_order(flat: Tensor, network: QNetwork) -> Tensor:
    """Return rows [R, P] of the closed form in the order of a module, whose weights are [out, in]."""
    views = network._layout.views(flat).layers
    parts = [part for weight, bias in views for part in (weight.transpose(1, 2).flatten(1), bias)]
    return torch.cat(parts, dim=1)


def pair(monkeypatch: pytest.MonkeyPatch, agent: dict[str, Any]) -> tuple[Lander, Lander]:
    """Return a lander with the closed form, and one with the same values in a module."""
    settings: dict[str, Any] = {"hidden": SMALL, "replay": {}, **agent}
    settings["replay"] = {"learning_starts": 1, **settings["replay"]}
    closed = lander(**settings)
    monkeypatch.setattr(networks, "NETWORKS", dict.fromkeys(networks.NETWORKS, sequential))
    monkeypatch.setattr("mtctl.problems.lander.dqn.NETWORKS", networks.NETWORKS)
    module = lander(**settings)
    network = closed.dqn.online
    assert isinstance(network, QNetwork)
    assert isinstance(module.dqn.online, ModuleNetwork)
    for own, other in ((module.dqn.online, network), (module.dqn._target, closed.dqn._target)):
        assert isinstance(other, QNetwork)
        own.parameters.copy_(in_modules_order(other.parameters, other))
        own.codes.copy_(other.codes)
    for problem in (closed, module):
        fill(problem, 300)
    return closed, module


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
def test_a_module_trains_as_the_closed_form(monkeypatch: pytest.MonkeyPatch, agent: dict[str, Any]) -> None:
    closed, module = pair(monkeypatch, agent)
    near = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)
    network = closed.dqn.online
    assert isinstance(network, QNetwork)
    assert closed.parameter_count() == module.parameter_count()
    for _ in range(5):
        task = 1 if closed._agent.learn == "active_task" else None
        batches = [problem.replay.sample(16, task) for problem in (closed, module)]
        assert torch.equal(batches[0].observations, batches[1].observations)
        expected, found = (p.dqn.gradients(b) for p, b in zip((closed, module), batches, strict=True))
        near(found.losses, expected.losses)
        near(found._jacobian, in_modules_order(expected._jacobian, network))
        if network.learned_codes:
            assert expected._code_gradients is not None
            near(found._code_gradients, expected._code_gradients)
        for name in ("last_shared", "all_shared"):
            near(found.norms(name), expected.norms(name))
            near(found.gramian(name), expected.gramian(name))
        weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
        for problem, gradients in ((closed, expected), (module, found)):
            gradients.combine(weights, weights)
            assert gradients.finite()
            problem.update()
        near(module.revisit(), closed.revisit(), rtol=1e-3)
    near(module.dqn.online.parameters, in_modules_order(network.parameters, network), atol=2e-4)
    observation = torch.linspace(-1, 1, 8)
    assert [module.dqn.online.act(observation, task) for task in range(3)] == [
        network.act(observation, task) for task in range(3)
    ]


def test_it_plays_is_saved_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    _, module = pair(monkeypatch, AGENTS["embedding"])
    other = lander(hidden=SMALL, seed=1, **AGENTS["embedding"])
    while module.done < 1:
        learn(module)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.dqn.online.parameters, module.dqn.online.parameters)
    scores = [problem.evaluate(1, "monitor", ("windy",))["windy"].scores for problem in (module, other)]
    assert scores[0] == scores[1]
    for problem in (module, other):
        assert learn(problem) is not None
    assert torch.equal(other.dqn.online.parameters, module.dqn.online.parameters)


def test_initial_values_follow_the_generator_and_leave_others_alone() -> None:
    before = torch.get_rng_state()
    agent = DQNAgent(hidden=(256, 128))
    one, same, other = (sequential(agent, 3, torch.Generator().manual_seed(seed))() for seed in (0, 0, 1))
    assert torch.equal(one.parameters, same.parameters)
    assert not torch.equal(one.parameters, other.parameters)
    weights = one.parameters[0, one.last_shared()]
    assert len(weights) == 256 * 128
    assert float(weights.std()) == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_network_of_an_agent_is_registered() -> None:
    assert get_args(DQNAgent.model_fields["network"].annotation) == tuple(networks.NETWORKS)
