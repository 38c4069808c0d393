"""PCGrad: gradient surgery on coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mtctl.balancing.contract import Balancer, Signals, State


def project(gramian: Tensor, order: Tensor) -> Tensor:
    """Return coefficients C [..., T, T]: row i holds the combination of the tasks' gradients that task i ends with.

        C = I;  for each i, for j ≠ i in order:  if (C·G)ᵢⱼ < 0:  Cᵢⱼ ← Cᵢⱼ − (C·G)ᵢⱼ / Gⱼⱼ

    Args:
        gramian: [..., T, T] G; a task whose gradient is 0 neither moves the others nor is moved.
        order: [..., T, T] integers; row i is the order, a permutation of all tasks, in which i meets the others.
    """
    tasks = gramian.shape[-1]
    own_norms = gramian.diagonal(dim1=-2, dim2=-1)
    # Below the smallest normal number 1/G overflows; such a gradient is 0 next to any other.
    gains = (-1 / own_norms).where(own_norms > torch.finfo(gramian.dtype).tiny, 0.0)
    others = order != torch.arange(tasks, device=order.device).unsqueeze(-1)
    gains = gains.unsqueeze(-2).expand_as(gramian).gather(-1, order) * others
    coefficients = torch.eye(tasks, dtype=gramian.dtype, device=gramian.device).expand_as(gramian)
    products = gramian  # (C·G), kept up to date instead of being multiplied out
    for j, gain in zip(order.split(1, -1), gains.split(1, -1), strict=True):
        step = products.gather(-1, j).clamp(max=0.0) * gain
        coefficients = coefficients.scatter_add(-1, j, step)
        products = products + step * gramian.gather(-2, j.expand_as(gramian))
    return coefficients


@dataclass(frozen=True)
class PCGrad(Balancer):
    """Each task's gradient, projected onto the normal plane of every gradient it conflicts with.

        wⱼ = Σᵢ Cᵢⱼ,  C as in `project`, each task meeting the others in an order drawn anew at each step

    Projections are against the ORIGINAL gradients, so that for T ≥ 3 the result may still conflict with some.

    Args:
        reduction: `sum` of the projected gradients, as in the paper, or their `mean` over the active tasks.

    Source: Yu et al., Gradient Surgery for Multi-Task Learning, 2020 (arXiv 2001.06782).
    """

    reduction: Literal["sum", "mean"] = "sum"

    needs = frozenset({"gramian"})
    scope = "shared"

    def weigh(self, signals: Signals, state: State, rng: torch.Generator) -> tuple[Tensor, State]:
        gramian, active = signals.gramian, signals.active
        assert gramian is not None
        order = torch.rand(gramian.shape, generator=rng, device=rng.device).argsort(-1).to(gramian.device)
        weights = project(gramian, order).sum(-2).where(active, 0.0)
        if self.reduction == "mean":
            weights = weights / active.sum(-1, keepdim=True).clamp(min=1)
        return weights, state
