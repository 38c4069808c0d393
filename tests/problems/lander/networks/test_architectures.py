"""Networks beside their own definition, written row by row, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.networks.grouped import GroupedNetwork
from mtctl.problems.lander.networks.registry import builder
from mtctl.problems.lander.values import SCALAR
from tests.problems.lander.landers import fill, lander, learn

AGENTS: dict[str, dict[str, Any]] = {
    "multi_head": {"architecture": {"kind": "multi_head"}},
    "multi_head told": {"architecture": {"kind": "multi_head"}, "task_encoding": "embedding"},
    "soft_modular": {
        "architecture": {"kind": "soft_modular"},
        "task_encoding": "onehot",
        "hidden": (7, 6, 5),
    },
    "soft_modular of 3": {
        "architecture": {"kind": "soft_modular", "modules": 3},
        "task_encoding": "embedding",
        "hidden": (7, 5),
    },
}
EVERY = pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)


def network(seed: int = 0, **agent: Any) -> GroupedNetwork:
    found = builder(
        DQNAgent.model_validate({"hidden": (7, 5), **agent}), 3, SCALAR, torch.Generator().manual_seed(seed)
    )()
    assert isinstance(found, GroupedNetwork)
    noise = torch.Generator().manual_seed(1)
    for leaf in found.leaves():  # biases too
        leaf.add_(torch.randn(leaf.shape, generator=noise), alpha=0.3)
    return found


def multi_head(row: Tensor, task: int, of: Callable[[str], Tensor], code: Tensor) -> Tensor:
    hidden = torch.cat([row, code])
    for layer in range(2):
        hidden = (hidden @ of(f"weight{layer}") + of(f"bias{layer}")).relu()
    return hidden @ of("head_weight") + of("head_bias")


def soft_modular(row: Tensor, task: int, of: Callable[[str], Tensor], code: Tensor) -> Tensor:
    told = code @ of("task_weight") + of("task_bias")
    state = (row @ of("state_weight") + of("state_bias")).relu() * told
    modules = len(of("weight0"))
    outputs = [(row @ of("weight0")[j] + of("bias0")[j, 0]).relu() for j in range(modules)]
    routing: Tensor | None = None
    for layer in range(1, 9):
        try:
            weights, biases = of(f"weight{layer}"), of(f"bias{layer}")
        except KeyError:
            break
        mixed = state
        if routing is not None:
            mixed = state * (routing.flatten() @ of(f"follow_weight{layer}") + of(f"follow_bias{layer}"))
        logits = mixed.relu() @ of(f"route_weight{layer}") + of(f"route_bias{layer}")
        routing = torch.stack([part.softmax(0) for part in logits.split(modules)])
        taken = list(torch.einsum("jk,ku->ju", routing, torch.stack(outputs)))
        outputs = [(taken[j] @ weights[j] + biases[j, 0]).relu() for j in range(modules)]
    total: Tensor = torch.stack(outputs).sum(0)
    return total @ of("out_weight") + of("out_bias")


DEFINITIONS = {"multi_head": multi_head, "soft_modular": soft_modular}


@pytest.mark.usefixtures("_in_double_precision")
@pytest.mark.parametrize("counts", [(4, 4, 4), (5, 1, 3), (6, 0, 2)], ids=str)
@EVERY
def test_values_and_gradients_are_those_of_the_definition(
    agent: dict[str, Any], counts: tuple[int, ...]
) -> None:
    found = network(**agent)
    generator = torch.Generator().manual_seed(2)
    observations = torch.randn(sum(counts), 8, generator=generator)
    delta = torch.randn(sum(counts), 4, generator=generator)
    shared, own, codes = (
        tensor.clone().requires_grad_() for tensor in (found.parameters, found.own, found.codes)
    )

    def answers() -> list[Tensor]:
        tasks = [task for task, count in enumerate(counts) for _ in range(count)]
        answer = DEFINITIONS[agent["architecture"]["kind"]]
        return [
            answer(row, task, partial(part, task), codes[task])
            for row, task in zip(observations, tasks, strict=True)
        ]

    def part(task: int, name: str) -> Tensor:
        """A tensor of the network, where it lies in the flat rows."""
        for views, flat, row in ((found._shared, shared, 0), (found._own, own, task)):
            if name in views:
                start = views[name].storage_offset()
                return flat[row][start : start + views[name][0].numel()].view(views[name].shape[1:])
        raise KeyError(name)

    expected = answers()
    torch.testing.assert_close(found.learn(observations, counts), torch.stack(expected).detach())
    slopes = found.backward(observations, delta, counts)
    torch.testing.assert_close(found.forward(observations, counts), torch.stack(expected).detach())
    start = 0
    for task, count in enumerate(counts):
        rows = range(start, start + count)
        start += count
        if not count:
            assert not slopes.shared[task].any()
            continue
        total = torch.stack([expected[row] @ delta[row] for row in rows]).sum()
        by_shared, by_own, by_codes = torch.autograd.grad(
            total, [shared, own, codes], retain_graph=True, materialize_grads=True
        )
        torch.testing.assert_close(slopes.shared[task], by_shared[0])
        of_task = {"codes": by_codes[task], "own": by_own[task]}
        names = [*(["codes"] if found.learned_codes else []), *(["own"] if found.own.numel() else [])]
        for name, gradient in zip(names, slopes.own, strict=True):
            torch.testing.assert_close(gradient[task], of_task[name])
        for row in rows:
            assert found.act(observations[row], task) == int(expected[row].argmax())


@EVERY
def test_a_recipe_knows_how_many_numbers_its_network_has(agent: dict[str, Any]) -> None:
    found, said = network(**agent), DQNAgent.model_validate({"hidden": (7, 5), **agent})
    numbers = said.architecture.numbers((8, *said.hidden, 4), said.codes(3))
    assert numbers == (found.parameters.numel(), found.own.shape[1])


@EVERY
def test_the_last_hidden_layer_is_where_gradnorm_looks(agent: dict[str, Any]) -> None:
    found, said = network(**agent), DQNAgent.model_validate({"hidden": (7, 5), **agent})
    layer = found._shared[f"weight{len(said.hidden) - 1}"]
    assert torch.equal(found.parameters[0, found.last_shared()], layer.flatten())


@EVERY
def test_it_learns_to_tell_a_batch_by_heart_and_goes_on_exactly(agent: dict[str, Any]) -> None:
    settings: dict[str, Any] = {
        "hidden": (32, 16),
        "lr": 3e-3,
        "gamma": 0.0,
        "replay": {"learning_starts": 1},
        **{name: value for name, value in agent.items() if name != "hidden"},
    }
    problem = lander(**settings)
    fill(problem, 40)
    batch = problem.replay.sample(32, None)
    losses = []
    for _ in range(400):
        gradients = problem.dqn.gradients(batch)
        losses.append(gradients.losses.mean().item())
        ones = torch.ones(3, dtype=torch.float64)
        gradients.combine(ones, ones)
        assert gradients.finite()
        problem.update()
    assert losses[-1] < 0.05 * losses[0]
    other = lander(**settings)
    other.load_state_dict(problem.state_dict())
    for one in (problem, other):
        while learn(one) is None:
            pass
    for left, right in zip(problem.dqn.online.leaves(), other.dqn.online.leaves(), strict=True):
        assert torch.equal(left, right)


def test_heads_are_the_tasks_own_and_have_norms() -> None:
    problem = lander(hidden=(7, 5), architecture={"kind": "multi_head"}, replay={"learning_starts": 1})
    fill(problem, 40)
    gradients = problem.dqn.gradients(problem.replay.sample(8, None))
    head = gradients._own[0]
    torch.testing.assert_close(gradients.own_norms(), torch.linalg.vector_norm(head, dim=1).double())
    count = problem.parameter_count()
    assert (count.total, count.shared) == (8 * 7 + 7 + 7 * 5 + 5 + 3 * (5 * 4 + 4), 8 * 7 + 7 + 7 * 5 + 5)
    weights = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    gradients.combine(torch.ones(3, dtype=torch.float64), weights)
    moved = problem.dqn.online.leaves()[1].grad
    assert moved is not None
    torch.testing.assert_close(moved, head * torch.tensor([[1.0], [0.0], [2.0]]))


@pytest.mark.parametrize(
    ("agent", "text"),
    [
        (
            {"architecture": {"kind": "multi_head"}, "network": "independent"},
            "needs `architecture: {kind: mlp}`",
        ),
        (
            {"architecture": {"kind": "multi_head"}, "dueling": True},
            "`dueling` needs `architecture: {kind: mlp}`",
        ),
        ({"architecture": {"kind": "soft_modular"}}, "routes by task: set `task_encoding"),
        (
            {"architecture": {"kind": "soft_modular"}, "task_encoding": "onehot", "hidden": (8,)},
            "give `hidden` two or more",
        ),
    ],
)
def test_what_does_not_go_together(agent: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"mlp|routes") as caught:
        DQNAgent.model_validate(agent)
    assert text in str(caught.value)
