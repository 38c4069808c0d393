"""A network that only says how it computes Q trains as the one with a hand-written backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.architectures import MLP, AnyArchitecture
from mtctl.problems.lander.networks import registry
from mtctl.problems.lander.networks.closed_form import QNetwork
from mtctl.problems.lander.networks.grouped import GroupedNetwork, linear, told
from mtctl.problems.lander.problem import Lander
from mtctl.problems.lander.values import SCALAR, Values
from tests.problems.lander.landers import SMALL, fill, lander, learn

AGENTS: dict[str, dict[str, Any]] = {
    "blind": {},
    "onehot": {"task_encoding": "onehot"},
    "embedding": {"task_encoding": "embedding", "double": True},
    "mixed": {"task_encoding": "embedding", "replay": {"kind": "mixed"}},
    "clipped": {"gradient_clip": 0.1, "target": {"kind": "soft"}},
}


class Layers(GroupedNetwork):
    """What a new network's file would hold: its tensors, and how it answers."""

    def __init__(
        self, agent: DQNAgent, shape: MLP, tasks: int, values: Values, generator: torch.Generator
    ) -> None:
        sizes = (8 + agent.codes(tasks), *agent.hidden, 4)
        self.depth = len(sizes) - 1
        shared: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, units) in enumerate(pairwise(sizes)):
            shared |= {f"weight{layer}": (inputs, units), f"bias{layer}": (units,)}
        super().__init__(agent, tasks, shared, {}, f"weight{self.depth - 2}", values, generator)

    def answer(self, rows: Tensor, codes: Tensor, numbers: Mapping[str, Tensor], *, learning: bool) -> Tensor:
        hidden = told(rows, codes)
        for layer in range(self.depth):
            hidden = linear(
                hidden.relu() if layer else hidden,
                *(numbers[f"{part}{layer}"] for part in ("weight", "bias")),
            )
        return hidden


def grouped(agent: DQNAgent, tasks: int, values: Values, generator: torch.Generator) -> Any:
    return lambda: Layers(agent, MLP(), tasks, values, generator)


def pair(monkeypatch: pytest.MonkeyPatch, agent: dict[str, Any]) -> tuple[Lander, Lander]:
    """Return a lander with the closed form, and one with the same values in a module."""
    settings: dict[str, Any] = {"hidden": SMALL, "replay": {}, **agent}
    settings["replay"] = {"learning_starts": 1, **settings["replay"]}
    closed = lander(**settings)
    monkeypatch.setattr("mtctl.problems.lander.dqn.builder", grouped)
    module = lander(**settings)
    network = closed.dqn.online
    assert isinstance(network, QNetwork)
    assert isinstance(module.dqn.online, GroupedNetwork)
    for own, other in ((module.dqn.online, network), (module.dqn._target, closed.dqn._target)):
        assert isinstance(other, QNetwork)
        own.parameters.copy_(other.parameters)
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
        batches = [problem.replay.sample(16, None) for problem in (closed, module)]
        assert torch.equal(batches[0].observations, batches[1].observations)
        expected, found = (p.dqn.gradients(b) for p, b in zip((closed, module), batches, strict=True))
        near(found.losses, expected.losses)
        near(found._jacobian, expected._jacobian)
        if network.learned_codes:
            near(found._own[0], expected._own[0])
        for name in ("last_shared", "all_shared"):
            near(found.norms(name), expected.norms(name))
            near(found.gramian(name), expected.gramian(name), rtol=1e-4, atol=1e-4)  # products of P terms
        weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
        for problem, gradients in ((closed, expected), (module, found)):
            gradients.combine(weights, weights)
            assert gradients.finite()
            problem.update()
        near(module.revisit(), closed.revisit(), rtol=1e-3)
    near(module.dqn.online.parameters, network.parameters, atol=2e-4)
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
    one, same, other = (
        grouped(agent, 3, SCALAR, torch.Generator().manual_seed(seed))() for seed in (0, 0, 1)
    )
    assert torch.equal(one.parameters, same.parameters)
    assert not torch.equal(one.parameters, other.parameters)
    weights = one.parameters[0, one.last_shared()]
    assert len(weights) == 256 * 128
    assert float(weights.std()) == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_architecture_is_registered() -> None:
    kinds = [part.model_fields["kind"].annotation for part in get_args(get_args(AnyArchitecture)[0])]
    assert ["mlp", *registry.NETWORKS] == [get_args(kind)[0] for kind in kinds]
