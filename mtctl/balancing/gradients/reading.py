"""What a Gramian says: angles, conflicts, and which task leads."""

from __future__ import annotations

import torch
from torch import Tensor


def cosines(gramian: Tensor) -> Tensor:
    """Return [..., T, T] cosines Gᵢⱼ/√(Gᵢᵢ·Gⱼⱼ) of a Gramian [..., T, T]; NaN where a gradient is 0."""
    norms = gramian.diagonal(dim1=-2, dim2=-1).sqrt()
    # Divided one by one: the product of two small norms may underflow. Rounding may exceed 1.
    return (gramian / norms.unsqueeze(-1) / norms.unsqueeze(-2)).clamp(-1.0, 1.0)


def conflict_rate(gramian: Tensor, active: Tensor) -> Tensor:
    """Return [...] the share of directed pairs of active tasks with Gᵢⱼ < 0; NaN without any pair.

    Args:
        gramian: [..., T, T] G.
        active: [..., T] bool.
    """
    others = ~torch.eye(gramian.shape[-1], dtype=torch.bool, device=gramian.device)
    pairs = active.unsqueeze(-1) & active.unsqueeze(-2) & others
    return ((gramian < 0) & pairs).sum((-2, -1)) / pairs.sum((-2, -1)).double()


def gradient_shares(weights: Tensor, gramian: Tensor) -> Tensor:
    """Return [..., T] the shares |wᵢ|·‖gᵢ‖ / Σⱼ |wⱼ|·‖gⱼ‖ of the tasks' weighted gradients; NaN if all are 0.

    Args:
        weights: [..., T] w.
        gramian: [..., T, T] G.
    """
    lengths = weights.abs() * gramian.diagonal(dim1=-2, dim2=-1).sqrt()
    return lengths / lengths.sum(-1, keepdim=True)
