"""Per-task gradients of B runs at once, whose parameters stand side by side: [B, …] each.

A run's losses depend on its own slices alone, so that one backward pass of a sum over runs gives each run the
gradients that it would have alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtctl.balancing.contract import Space


class StackedGradients:
    """Losses and per-task gradients of B runs, by backward passes that are made only when needed.

    Weights of whole losses cost one pass for all runs; a method that looks at gradients costs T.

    Args:
        tasks: names of the T tasks.
        losses: by task, [B] differentiable.
        shared: parameters [B, …] that several tasks use.
        own: for each task, the parameters [B, …] that only it uses.
        last_shared: the last shared layer's parameters, some of `shared`.
        features: what the space `features` means, [B, …] each.

    Attributes:
        losses: [B, T] float64, detached, in main memory.
        active: [B, T] bool, all of them.
        importance: [B, T] float64, 1.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Mapping[str, Tensor],
        *,
        shared: Sequence[Tensor],
        own: Sequence[Sequence[Tensor]],
        last_shared: Sequence[Tensor],
        features: Sequence[Tensor],
    ) -> None:
        self.tasks = tasks
        self._losses = [losses[task] for task in tasks]
        self.losses = torch.stack([loss.detach() for loss in self._losses], 1).cpu().double()
        self.active = torch.ones_like(self.losses, dtype=torch.bool)
        self.importance = torch.ones_like(self.losses)
        self._spaces: dict[Space, Sequence[Tensor]] = {
            "all_shared": shared,
            "last_shared": last_shared,
            "features": features,
        }
        self._own = own
        self._found: dict[Tensor, Tensor] = {}  # [T, B, …] by parameter; by a task's own parameter, [B, …]
        self._gramians: dict[Space, Tensor] = {}
        self._finite: Tensor | None = None

    def norms(self, space: Space) -> Tensor:
        """Return [B, T] float64 norms of the per-task gradients on `space`."""
        if space in self._gramians:
            return self._gramians[space].diagonal(dim1=1, dim2=2).sqrt()
        found = [_lengths(self._differentiated(space)[one], 2) for one in self._spaces[space]]
        return torch.stack(found).square().sum(0).sqrt().t()

    def gramian(self, space: Space) -> Tensor:
        """Return [B, T, T] float64 inner products of the per-task gradients on `space`."""
        if space not in self._gramians:
            found = self._differentiated(space)
            rows = (_double(found[one].flatten(2).transpose(0, 1)) for one in self._spaces[space])
            self._gramians[space] = torch.stack([(row @ row.mT).cpu() for row in rows]).sum(0)
        return self._gramians[space]

    def own_norms(self) -> Tensor:
        """Return [B, T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        self._differentiated("features" if self._spaces["features"] else "all_shared")
        norms = torch.full_like(self.losses, torch.nan)
        for place, own in enumerate(self._own):
            if own:
                found = torch.stack([_lengths(self._found[one], 1) for one in own])
                norms[:, place] = found.square().sum(0).sqrt()
        return norms

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and ownᵢ·∇Lᵢ (a task's own) into `.grad`, for all runs.

        Written contiguously, as torch's fused optimizers take for granted.

        Args:
            shared: [B, T] weights, in main memory.
            own: [B, T] weights, in main memory.
        """
        trunk, heads = self._spaces["all_shared"], [one for own in self._own for one in own]
        if torch.equal(shared, own) and not self._found:
            self._pull(own, [*trunk, *heads])
        else:
            self._combine_apart(shared, own, trunk)
        lengths = [_lengths(one.grad, 1) for one in (*trunk, *heads) if one.grad is not None]
        self._finite = torch.stack(lengths).isfinite().all(0)

    def _combine_apart(self, shared: Tensor, own: Tensor, trunk: Sequence[Tensor]) -> None:
        if all(one in self._found for one in trunk):
            for one in trunk:
                one.grad = torch.einsum("bt,tb...->b...", shared.to(one), self._found[one]).contiguous()
        else:
            self._pull(shared, trunk)
            self._differentiated("features")
        for place, parameters in enumerate(self._own):
            for one in parameters:
                weights = own[:, place].to(one)
                one.grad = (self._found[one] * weights.view(-1, *[1] * (one.dim() - 1))).contiguous()

    def finite(self) -> Tensor:
        """Return [B] whether the combined gradients are finite."""
        assert self._finite is not None
        return self._finite

    def of(self, runs: Sequence[int]) -> Some:
        """Return what some of the runs are shown."""
        return Some(self, runs)

    def run(self, place: int) -> OneOfStack:
        """Return what one run is shown."""
        return OneOfStack(self, place)

    def _pull(self, weights: Tensor, leaves: Sequence[Tensor]) -> None:
        total = torch.stack(self._losses, 1).mul(weights.to(self._losses[0])).sum()
        found = torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True)
        for leaf, gradient in zip(leaves, found, strict=True):
            leaf.grad = torch.zeros_like(leaf) if gradient is None else gradient.contiguous()

    def _differentiated(self, space: Space) -> Mapping[Tensor, Tensor]:
        """Return gradients [T, B, …] by place, those on a space among them; own parameters come with them."""
        places = self._spaces["features" if space == "features" else "all_shared"]
        if any(place not in self._found for place in places):
            rows = []
            for loss, own in zip(self._losses, self._own, strict=True):
                wanted = [*places, *own]
                found = torch.autograd.grad(loss.sum(), wanted, retain_graph=True, allow_unused=True)
                known = [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, found, strict=True)]
                rows.append(known[: len(places)])
                self._found |= dict(zip(own, known[len(places) :], strict=True))
            stacked = (torch.stack(found) for found in zip(*rows, strict=True))
            self._found |= dict(zip(places, stacked, strict=True))
        return self._found


class Some:
    """Some runs of a stack, as methods are shown them (see `Shown`).

    Args:
        whole: the stack's.
        runs: places in the stack.
    """

    def __init__(self, whole: StackedGradients, runs: Sequence[int]) -> None:
        self._whole, self._runs = whole, list(runs)
        self.tasks = whole.tasks
        self.losses = whole.losses[self._runs]
        self.active = whole.active[self._runs]
        self.importance = whole.importance[self._runs]

    def norms(self, space: Space) -> Tensor:
        return self._whole.norms(space)[self._runs]

    def gramian(self, space: Space) -> Tensor:
        return self._whole.gramian(space)[self._runs]


class OneOfStack:
    """One run of a stack (see `TaskGradients`); what it asks for is worked out for all.

    Args:
        whole: the stack's.
        place: in the stack.
    """

    auxiliary: Tensor | None = None

    def __init__(self, whole: StackedGradients, place: int) -> None:
        self._whole, self._place = whole, place
        self.tasks = whole.tasks
        self.losses = whole.losses[place]
        self.active = whole.active[place]
        self.importance = whole.importance[place]

    def norms(self, space: Space) -> Tensor:
        return self._whole.norms(space)[self._place]

    def gramian(self, space: Space) -> Tensor:
        return self._whole.gramian(space)[self._place]

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Do nothing: all runs have been combined at once."""

    def own_norms(self) -> Tensor:
        return self._whole.own_norms()[self._place]

    def finite(self) -> bool:
        return bool(self._whole.finite()[self._place])


def _double(values: Tensor) -> Tensor:
    """Return values in double precision, which Apple's GPUs lack."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def _lengths(values: Tensor, leading: int) -> Tensor:
    """Return the float64 lengths of what stands behind the leading dimensions, in main memory."""
    found: Tensor = torch.linalg.vector_norm(_double(values.flatten(leading)), dim=leading)
    return found.cpu()
