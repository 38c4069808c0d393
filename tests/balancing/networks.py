"""A small network with a trunk, a head for each task, and losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Linear, Parameter

from mtctl.balancing.gradients import AutogradGradients

TASKS = ("red", "green", "blue")


@dataclass
class Network:
    """Two shared layers and three heads, float32."""

    first: Linear
    last: Linear
    heads: list[Linear]
    inputs: Tensor
    labels: Tensor

    @property
    def shared(self) -> list[Parameter]:
        return [*self.first.parameters(), *self.last.parameters()]

    @property
    def own(self) -> list[list[Parameter]]:
        return [list(head.parameters()) for head in self.heads]

    @property
    def parameters(self) -> list[Parameter]:
        return [*self.shared, *(parameter for group in self.own for parameter in group)]

    def losses(self) -> list[Tensor]:
        features = self.last(self.first(self.inputs).relu()).tanh()
        return [(head(features) - y).square().mean() for head, y in zip(self.heads, self.labels, strict=True)]

    def gradients(self, active: list[bool] | None = None) -> AutogradGradients:
        return AutogradGradients(
            TASKS,
            dict(zip(TASKS, self.losses(), strict=True)),
            shared=self.shared,
            own=self.own,
            last_shared=list(self.last.parameters()),
            active=None if active is None else torch.tensor(active),
        )

    def rows(self, parameters: list[Parameter], scales: Tensor | None = None) -> Tensor:
        """Each task's gradient [T, P], float64, by a graph of its own; losses times `scales`."""
        weights = torch.ones(len(TASKS)) if scales is None else scales
        rows = []
        for task in range(len(TASKS)):
            gradients = torch.autograd.grad(weights[task] * self.losses()[task], parameters)
            rows.append(torch.cat([gradient.flatten() for gradient in gradients]).double())
        return torch.stack(rows)

    def flat_gradient(self, parameters: list[Parameter]) -> Tensor:
        """What stands in `.grad` [P], float64."""
        gradients = [parameter.grad for parameter in parameters]
        assert all(gradient is not None for gradient in gradients)
        return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).double()


def network(seed: int = 0) -> Network:
    generator = torch.Generator().manual_seed(seed)
    layers = [Linear(5, 16), Linear(16, 8), Linear(8, 2), Linear(8, 2), Linear(8, 2)]
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    inputs, labels = torch.randn(32, 5, generator=generator), torch.randn(3, 32, 2, generator=generator)
    return Network(layers[0], layers[1], layers[2:], inputs, labels)
