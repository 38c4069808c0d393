"""Residual blocks of one width with layer normalisation: see `Residual`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from mtctl.problems.lander.agents import DQNAgent
from mtctl.problems.lander.architectures import Residual
from mtctl.problems.lander.networks.grouped import GroupedNetwork, linear, normalised, told
from mtctl.problems.lander.tasks import ACTIONS, OBSERVATIONS
from mtctl.problems.lander.values import Values

GAIN: Final = math.sqrt(2.0)
"""Of orthogonal initial weights, for layers that a ReLU follows; of all layers, as in the source."""


class ResidualNetwork(GroupedNetwork):
    """See `mtctl.problems.lander.architectures.Residual`."""

    def __init__(
        self, agent: DQNAgent, shape: Residual, tasks: int, values: Values, generator: torch.Generator
    ) -> None:
        (width,) = agent.hidden
        self._blocks, self._prenorm = range(shape.blocks), shape.layout == "prenorm"
        self._unit_codes = shape.unit_embedding and agent.task_encoding == "embedding"
        inputs, outputs = OBSERVATIONS + agent.codes(tasks), ACTIONS * values.width
        layers = {"in": (inputs, width)}
        layers |= {f"{half}{block}": (width, width) for block in self._blocks for half in ("up", "down")}
        layers["out"] = (width, outputs)
        if self._prenorm:
            norms = [name for name in layers if name.startswith(("up", "out"))]
        else:
            norms = [name for name in layers if name != "out"]
        shared: dict[str, tuple[int, ...]] = {}
        for name, (rows, units) in layers.items():  # a normalisation is named after the layer beside it
            shared |= {f"weight_{name}": (rows, units), f"bias_{name}": (units,)}
            if name in norms:
                shared |= {f"gain_{name}": (width,), f"shift_{name}": (width,)}
        last = f"weight_down{shape.blocks - 1}"
        super().__init__(agent, tasks, shared, {}, last, values, generator)

    def _draw(self, name: str, tensor: Tensor, generator: torch.Generator) -> None:
        if name.startswith("weight"):
            torch.nn.init.orthogonal_(tensor[0], GAIN, generator)
        elif name.startswith("gain"):
            tensor.fill_(1.0)

    def answer(self, rows: Tensor, codes: Tensor, numbers: Mapping[str, Tensor], *, learning: bool) -> Tensor:
        def dense(name: str, inputs: Tensor) -> Tensor:
            return linear(inputs, numbers[f"weight_{name}"], numbers[f"bias_{name}"])

        def norm(name: str, inputs: Tensor) -> Tensor:
            return normalised(inputs, numbers[f"gain_{name}"], numbers[f"shift_{name}"])

        if self._unit_codes:
            codes = functional.normalize(codes, dim=1)
        hidden = dense("in", told(rows, codes))
        if self._prenorm:
            for block in self._blocks:
                inner = dense(f"up{block}", norm(f"up{block}", hidden)).relu_()
                hidden = hidden + dense(f"down{block}", inner)
            return dense("out", norm("out", hidden))
        hidden = norm("in", hidden).relu_()
        for block in self._blocks:
            inner = norm(f"up{block}", dense(f"up{block}", hidden)).relu_()
            hidden = hidden + norm(f"down{block}", dense(f"down{block}", inner))
        return dense("out", hidden)
