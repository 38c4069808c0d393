"""Gradients of a policy's heads, by a backward pass that is written by hand.

Each head's loss depends on the head's own outputs alone, and comes with slopes δ = ∂L/∂outputs. What follows
is linear algebra on N rows: with features h [N, H] and a head's outputs h·Wᵀ + b,

    ∂L/∂W = δᵀ·h,   ∂L/∂h = δ·W,

and through the trunk, whose layers are h ← φ(h·Wᵀ + b), layer by layer. Gradients of several losses pass
through the trunk together, as [K, N, H]; where no method looks at them, their weighted sum passes alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtctl.balancing.contract import Space
from mtctl.problems.hybrid.policy import HybridPolicy, Pass
from mtctl.problems.hybrid.surrogate import OutputLoss


class HeadGradients:
    """The heads' losses and gradients of a minibatch (see `TaskGradients`).

    Args:
        policy: the network; its parameters get the combined gradient.
        made: its pass over the minibatch.
        losses: each head's.
        auxiliary: the value's; it is optimised with weight 1, and no method sees it.
    """

    def __init__(
        self, policy: HybridPolicy, made: Pass, losses: Mapping[str, OutputLoss], auxiliary: OutputLoss
    ) -> None:
        self.tasks: tuple[str, ...] = tuple(losses)
        self.active: Tensor = torch.ones(len(self.tasks), dtype=torch.bool)
        self.importance: Tensor = torch.ones(len(self.tasks), dtype=torch.float64)
        self.losses: Tensor = torch.stack([loss.value for loss in losses.values()]).cpu().double()
        self.auxiliary: Tensor | None = auxiliary.value
        self._policy, self._made = policy, made
        self._slopes = [*(loss.slopes for loss in losses.values()), auxiliary.slopes]
        self._heads = [*(policy.head(task) for task in self.tasks), policy.value]
        self._rows: Tensor | None = None
        self._gramians: dict[Space, Tensor] = {}

    @torch.no_grad()
    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the heads' gradients on the trunk, its last layer or the features."""
        return self.gramian(space).diagonal().sqrt()

    @torch.no_grad()
    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the heads' gradients."""
        if space not in self._gramians:
            rows = self._on(space)[: len(self.tasks)].flatten(1)
            self._gramians[space] = torch.mm(rows, rows.t()).cpu().double()
        return self._gramians[space]

    def _on(self, space: Space) -> Tensor:
        if space == "features":
            return self._at_features()
        if self._rows is None:
            self._rows = self._policy.through_trunk(self._made, self._at_features())
        return self._rows if space == "all_shared" else self._rows[:, self._policy.last_layer :]

    def _at_features(self) -> Tensor:
        """Return [T + 1, N, H] ∂L/∂h of every loss, the value's last."""
        parts = zip(self._slopes, self._heads, strict=True)
        return torch.stack([slopes @ head.weight for slopes, head in parts])

    @torch.no_grad()
    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of the gradients on each head's own parameters."""
        return torch.tensor(
            [
                math.hypot(*(float(part.norm()) for part in self._of_head(place)))
                for place in range(len(self.tasks))
            ],
            dtype=torch.float64,
        )

    def _of_head(self, place: int) -> tuple[Tensor, Tensor]:
        slopes = self._slopes[place]
        return slopes.t() @ self._made.features, slopes.sum(0)

    @torch.no_grad()
    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Bring Σᵢ sharedᵢ·∇Lᵢ + ∇L_V of the trunk, and ownᵢ·∇Lᵢ of the heads, into `.grad`."""
        weights = torch.cat([shared.float(), torch.ones(1)]).to(self._made.features.device)
        if self._rows is None:
            features = torch.einsum("k,knh->nh", weights, self._at_features())
            flat = self._policy.through_trunk(self._made, features.unsqueeze(0))[0]
        else:
            flat = weights @ self._rows
        self._policy.set_trunk_gradient(flat)
        for place, (head, weight) in enumerate(zip(self._heads, [*own.tolist(), 1.0], strict=True)):
            by_weight, by_bias = self._of_head(place)
            head.weight.grad, head.bias.grad = by_weight.mul_(weight), by_bias.mul_(weight)

    def finite(self) -> bool:
        """Say whether the combined gradient is finite."""
        found = [one.grad for one in self._policy.parameters() if one.grad is not None]
        return math.isfinite(float(nn.utils.get_total_norm(found, norm_type=math.inf)))
