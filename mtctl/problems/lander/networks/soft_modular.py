"""Modules that a routing network mixes by task: see `SoftModular`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.architectures import SoftModular
from mtctl.problems.lander.networks.grouped import GroupedNetwork, linear
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS
from mtctl.problems.lander.values import Values


class SoftModularNetwork(GroupedNetwork):
    """See `mtctl.problems.lander.architectures.SoftModular`."""

    def __init__(
        self, agent: DQNAgent, shape: SoftModular, tasks: int, values: Values, generator: torch.Generator
    ) -> None:
        sizes = (OBSERVATIONS, *agent.hidden)
        self._modules, self._depth = shape.modules, len(agent.hidden)
        width, pairs, outputs = agent.hidden[0], shape.modules**2, ACTIONS * values.width
        shared: dict[str, tuple[int, ...]] = {
            "state_weight": (OBSERVATIONS, width),
            "state_bias": (width,),
            "task_weight": (agent.codes(tasks), width),
            "task_bias": (width,),
        }
        for layer, (inputs, units) in enumerate(pairwise(sizes)):
            if layer:
                shared |= {f"route_weight{layer}": (width, pairs), f"route_bias{layer}": (pairs,)}
            if layer > 1:
                shared |= {f"follow_weight{layer}": (pairs, width), f"follow_bias{layer}": (width,)}
            shared |= {
                f"weight{layer}": (shape.modules, inputs, units),
                f"bias{layer}": (shape.modules, 1, units),
            }
        shared |= {"out_weight": (sizes[-1], outputs), "out_bias": (outputs,)}
        super().__init__(agent, tasks, shared, {}, f"weight{self._depth - 1}", values, generator)

    def answer(self, rows: Tensor, codes: Tensor, numbers: Mapping[str, Tensor], *, learning: bool) -> Tensor:
        state = linear(rows, numbers["state_weight"], numbers["state_bias"]).relu()
        task = linear(codes.unsqueeze(1), numbers["task_weight"], numbers["task_bias"])
        embedding = state * task
        hidden = self._modules_of(0, rows.unsqueeze(1), numbers)
        routing: Tensor | None = None
        for layer in range(1, self._depth):
            routing = self._routing(embedding, routing, layer, numbers)
            taken = torch.einsum("tnjk,tknu->tjnu", routing, hidden)
            hidden = self._modules_of(layer, taken, numbers)
        return linear(hidden.sum(1), numbers["out_weight"], numbers["out_bias"])

    @staticmethod
    def _modules_of(layer: int, inputs: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
        """Return what a layer's modules make [T, M, n, units] of inputs [T, M or 1, n, inputs]."""
        return (inputs @ numbers[f"weight{layer}"] + numbers[f"bias{layer}"]).relu()

    def _routing(
        self, embedding: Tensor, before: Tensor | None, layer: int, numbers: Mapping[str, Tensor]
    ) -> Tensor:
        """Return p [T, n, M, M]: what a layer's module j takes of the layer before it's module k.

        Args:
            embedding: [T, n, units] of state and task.
            before: the routing one layer earlier; None: there is none.
            layer: whose modules take in.
            numbers: the network's tensors.
        """
        if before is not None:
            follow = numbers[f"follow_weight{layer}"], numbers[f"follow_bias{layer}"]
            embedding = embedding * linear(before.flatten(2), *follow)
        logits = linear(embedding.relu(), numbers[f"route_weight{layer}"], numbers[f"route_bias{layer}"])
        routing: Tensor = logits.unflatten(2, (self._modules, self._modules)).softmax(3)
        return routing
