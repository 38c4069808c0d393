"""A trunk that all tasks share, with an output layer of each task's own: see `MultiHead`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.architectures import MultiHead
from mtctl.problems.lander.networks.grouped import GroupedNetwork, linear, told
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS
from mtctl.problems.lander.values import Values


class MultiHeadNetwork(GroupedNetwork):
    """See `mtctl.problems.lander.architectures.MultiHead`."""

    def __init__(
        self, agent: DQNAgent, shape: MultiHead, tasks: int, values: Values, generator: torch.Generator
    ) -> None:
        trunk = (OBSERVATIONS + agent.codes(tasks), *agent.hidden)
        self._depth = len(trunk) - 1
        shared: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, units) in enumerate(pairwise(trunk)):
            shared |= {f"weight{layer}": (inputs, units), f"bias{layer}": (units,)}
        outputs = ACTIONS * values.width
        own = {"head_weight": (trunk[-1], outputs), "head_bias": (outputs,)}
        super().__init__(agent, tasks, shared, own, f"weight{self._depth - 1}", values, generator)

    def answer(self, rows: Tensor, codes: Tensor, numbers: Mapping[str, Tensor], *, learning: bool) -> Tensor:
        hidden = told(rows, codes)
        for layer in range(self._depth):
            hidden = linear(hidden, numbers[f"weight{layer}"], numbers[f"bias{layer}"]).relu_()
        return linear(hidden, numbers["head_weight"], numbers["head_bias"])
