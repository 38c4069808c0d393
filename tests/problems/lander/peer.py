"""The DQN losses of a batch as a textbook writes them, in float64 under autograd: the closed form's peer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.problem import Lander
from mtctl.problems.lander.replay import Batch


@dataclass
class Losses:
    """A batch's mean loss per task, and what they are differentiable by.

    Args:
        by_task: [T] scalars; None for a task without rows.
        parameters: [K, P] the online networks' weights and biases.
        codes: [T, d] the tasks' extra inputs.
    """

    by_task: list[Tensor | None]
    parameters: Tensor
    codes: Tensor

    def gradients(self, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Return the gradients of Σ wᵢ·Lᵢ on the parameters and the codes."""
        terms = [
            weight * loss for weight, loss in zip(weights, self.by_task, strict=True) if loss is not None
        ]
        total = torch.stack(terms).sum()
        gradients = torch.autograd.grad(
            total, (self.parameters, self.codes), retain_graph=True, materialize_grads=True
        )
        return gradients[0], gradients[1]


def losses(problem: Lander, agent: DQNAgent, batch: Batch) -> Losses:
    """Return the peer's losses of a batch, from the problem's stored weights alone."""
    state = problem.dqn.state_dict()
    online, target = _network(state["online"]), _network(state["target"])
    for tensor in online:
        tensor.requires_grad_()
    sizes = (8, *agent.hidden, 4)
    found: list[Tensor | None] = []
    start = 0
    for task, count in enumerate(batch.counts):
        rows = slice(start, start + count)
        start += count
        found.append(_loss(online, target, task, batch, rows, sizes, agent) if count else None)
    return Losses(found, *online)


def _network(state: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    return state["parameters"].double().clone(), state["codes"].double().clone()


def _loss(
    online: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor],
    task: int,
    batch: Batch,
    rows: slice,
    sizes: tuple[int, ...],
    agent: DQNAgent,
) -> Tensor:
    following = batch.next_observations[rows].double()
    form = {"layer_norm": agent.layer_norm, "dueling": agent.dueling}
    with torch.no_grad():
        rated = values(target, task, following, sizes, **form)
        chosen = values(online, task, following, sizes, **form) if agent.double else rated
        best = rated.gather(1, chosen.argmax(1, keepdim=True)).squeeze(1)
        aim = batch.rewards[rows].double() + batch.bootstraps[rows].double() * best
        behind = values(target, task, batch.observations[rows].double(), sizes, **form)
        gap = behind.amax(1) - behind.gather(1, batch.actions[rows]).squeeze(1)
        aim -= agent.advantage_learning * gap
    own = values(online, task, batch.observations[rows].double(), sizes, **form)
    estimate = own.gather(1, batch.actions[rows]).squeeze(1)
    if agent.loss == "mse":
        each = functional.mse_loss(estimate, aim, reduction="none")
    else:
        each = functional.huber_loss(estimate, aim, delta=agent.huber_delta, reduction="none")
    return each.mean() if batch.weights is None else (batch.weights[rows].double() * each).mean()


def values(
    network: tuple[Tensor, Tensor],
    task: int,
    observations: Tensor,
    sizes: Sequence[int],
    *,
    layer_norm: bool = False,
    dueling: bool = False,
) -> Tensor:
    """Return Q [N, 4] of one task's observations, layer by layer.

    In a row: of each hidden layer weights [in, out], biases and, with normalisation, gains and shifts; then
    the actions' output layer; with two streams, the value's after it.
    """
    parameters, codes = network
    flat, taken = parameters[task if len(parameters) > 1 else 0], 0

    def take(*shape: int) -> Tensor:
        nonlocal taken
        start, taken = taken, taken + math.prod(shape)
        return flat[start:taken].view(shape)

    hidden = torch.cat([observations, codes[task].expand(len(observations), -1)], 1)
    *widths, actions = sizes[1:]
    for place, units in enumerate(widths):
        out = 2 * units if dueling and place == len(widths) - 1 else units
        hidden = hidden @ take(hidden.shape[1], out) + take(out)
        if layer_norm:
            hidden = functional.layer_norm(hidden, (out,), take(out), take(out))
        hidden = hidden.relu()
    last = widths[-1]
    found = hidden[:, -last:] @ take(last, actions) + take(actions)
    if dueling:
        value = hidden[:, :last] @ take(last, 1) + take(1)
        found = value + found - found.mean(1, keepdim=True)
    assert taken == len(flat)
    return found
