"""Small models with a shared trunk, and what their gradients are by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtctl.library.report import Report


def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draw a model's parameters from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return model


class Heads(nn.Module):
    """A trunk and linear heads by task; each loss is the mean square of a head's answers."""

    def __init__(self, trunk: nn.Module, width: int, tasks: Sequence[str] = ("red", "blue")) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({task: nn.Linear(width, 2) for task in tasks})
        drawn(self)

    def losses(self, inputs: Tensor) -> dict[str, Tensor]:
        features = self.trunk(inputs)
        return {
            task: (head(features) - 1 - place).square().mean()
            for place, (task, head) in enumerate(self.heads.items())
        }

    def head(self, task: str) -> nn.Linear:
        head = self.heads[task]
        assert isinstance(head, nn.Linear)
        return head

    @property
    def shared(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())


def mlp(tasks: Sequence[str] = ("red", "blue")) -> Heads:
    return Heads(nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh()), 8, tasks)


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(
    losses: Mapping[str, Tensor], report: Report, shared: Sequence[Tensor], parameters: Sequence[Tensor]
) -> list[Tensor]:
    """Return Σ wᵢ·∇Lᵢ of each parameter, with the weights that a report names; 0 where no loss reaches it."""
    among = set(shared)
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for task, loss in losses.items():
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for total, parameter, gradient in zip(totals, parameters, found, strict=True):
            weights = report.weights if parameter in among else report.own_weights
            if gradient is not None:
                total.add_(weights[task] * gradient)
    return totals


def gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return what stands in `.grad`."""
    return [torch.zeros_like(one) if one.grad is None else one.grad.clone() for one in parameters]
