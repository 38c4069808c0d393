"""Per-task gradients of several batches as those of one, where memory holds less than an update needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from mtctl.balancing.contract import Space
from mtctl.errors import MtctlError


class AccumulatedGradients:
    """Means over batches of losses and per-task gradients; one batch's graph is kept at a time.

    A task's means are over the batches that it has a loss in. Every batch costs a backward pass for each
    task, and T gradients of the shared parameters are held.

    Args:
        tasks: names of the T tasks.
        batches: of each batch, the differentiable losses of the tasks that it has, by name.
        shared: parameters that several tasks use.
        own: for each task, the parameters that only it uses.
        last_shared: the last shared layer's parameters, some of `shared`.

    Attributes:
        losses: [T] float64, detached; 0 for tasks without any batch.
        active: [T] bool: tasks with a batch.
        importance: [T] float64 1.
    """

    auxiliary: Tensor | None = None

    def __init__(
        self,
        tasks: tuple[str, ...],
        batches: Iterable[Mapping[str, Tensor]],
        *,
        shared: Sequence[Tensor],
        own: Sequence[Sequence[Tensor]],
        last_shared: Sequence[Tensor],
    ) -> None:
        self.tasks = tasks
        self.losses = torch.zeros(len(tasks), dtype=torch.float64)
        self.importance = torch.ones(len(tasks), dtype=torch.float64)
        self._spaces: dict[Space, Sequence[Tensor]] = {"all_shared": shared, "last_shared": last_shared}
        self._own = own
        self._rows = {parameter: parameter.new_zeros(len(tasks), *parameter.shape) for parameter in shared}
        self._heads = {parameter: torch.zeros_like(parameter) for heads in own for parameter in heads}
        counts = torch.zeros(len(tasks), dtype=torch.float64)
        for losses in batches:
            present = [place for place, task in enumerate(tasks) if task in losses]
            for place in present:
                counts[place] += 1
                self._add(place, losses[tasks[place]], retain=place != present[-1])
        self.active = counts > 0
        self._average(counts.clamp(min=1))

    def _add(self, place: int, loss: Tensor, *, retain: bool) -> None:
        self.losses[place] += float(loss.detach())
        wanted = [*self._rows, *self._own[place]]
        gradients = torch.autograd.grad(loss, wanted, retain_graph=retain, allow_unused=True)
        for parameter, gradient in zip(wanted, gradients, strict=True):
            if gradient is not None:
                into = self._rows[parameter][place] if parameter in self._rows else self._heads[parameter]
                into += gradient

    def _average(self, counts: Tensor) -> None:
        self.losses /= counts
        for rows in self._rows.values():
            rows.div_(counts.to(rows).view(-1, *[1] * (rows.dim() - 1)))
        for place, heads in enumerate(self._own):
            for parameter in heads:
                self._heads[parameter] /= float(counts[place])

    def _parameters(self, space: Space) -> Sequence[Tensor]:
        if space not in self._spaces:
            raise MtctlError(
                "`layer: features` does not go with accumulated batches, whose features differ",
                hint="`layer: last_shared` and `layer: all_shared` work",
            )
        return self._spaces[space]

    def jacobian(self, space: Space) -> Tensor:
        """Return [T, P] the per-task gradients on the P numbers of `space`."""
        return torch.cat([self._rows[parameter].flatten(1) for parameter in self._parameters(space)], dim=1)

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`."""
        total = torch.zeros(len(self.tasks), len(self.tasks), dtype=torch.float64)
        for parameter in self._parameters(space):
            rows = self._rows[parameter].flatten(1).double()
            total += (rows @ rows.T).cpu()
        return total

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        return self.gramian(space).diagonal().sqrt()

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        norms = torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)
        for place, heads in enumerate(self._own):
            if heads:
                norms[place] = math.sqrt(sum(float(self._heads[p].double().square().sum()) for p in heads))
        return norms

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Write Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and ownᵢ·∇Lᵢ (a task's own) into `.grad`."""
        for parameter, rows in self._rows.items():
            parameter.grad = torch.tensordot(shared.to(rows), rows, dims=1)
        for place, heads in enumerate(self._own):
            for parameter in heads:
                parameter.grad = float(own[place]) * self._heads[parameter] if self.active[place] else None

    @property
    def leaves(self) -> list[Tensor]:
        """All parameters: those that several tasks use, and each task's own."""
        return [*self._rows, *self._heads]

    def finite(self) -> bool:
        """Say whether the combined gradient is finite."""
        return all(bool(leaf.grad.isfinite().all()) for leaf in self.leaves if leaf.grad is not None)
