"""Gradients of named losses on whatever model they come from, added to `.grad`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients import products
from mtctl.balancing.gradients.arriving import Arriving
from mtctl.balancing.gradients.heads import through_heads
from mtctl.balancing.gradients.products import Rows
from mtctl.library import graph
from mtctl.library.errors import BalanceError
from mtctl.library.sharing import Parameters, Sharing


class LossGradients:
    """Losses and per-task gradients, by as few backward passes as the questions need.

    A head is passed once, down to where the tasks' graphs meet. Below that, per-task gradients cost one pass
    for each task, and a weighted sum one pass in all. Where nothing is asked, `combine` is the plain backward
    pass of the weighted sum of losses.

    Args:
        tasks: names of the T tasks.
        losses: differentiable scalars of the tasks that are present, by name.
        sharing: what is known of shared parameters; used where these are not given.
        shared: the shared parameters.
        last_shared: the last shared layer's.
        retain_graph: whether to leave the graph for further passes.

    Attributes:
        losses: [T] float64, detached; 0 for absent tasks.
        limits: [T] float64, the largest weight in the precision of each loss.
        active: [T] bool; False for absent tasks.
        importance: [T] float64 1: losses are as their owner has weighted them.
        gramians: [T, T] float64 inner products of the per-task gradients, by the spaces asked about so far.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Mapping[str, Tensor],
        *,
        sharing: Sharing,
        shared: Parameters | None = None,
        last_shared: Parameters | None = None,
        retain_graph: bool = False,
    ) -> None:
        self.active = torch.tensor([task in losses for task in tasks])
        self.losses = torch.zeros(len(tasks), dtype=torch.float64)
        self.importance = torch.ones(len(tasks), dtype=torch.float64)
        self.gramians: dict[Space, Tensor] = {}
        self._tasks = tasks
        self._losses = {place: losses[task] for place, task in enumerate(tasks) if task in losses}
        self.limits = torch.full_like(self.losses, torch.inf)
        for place, loss in self._losses.items():
            self.losses[place] = loss.detach()
            self.limits[place] = torch.finfo(loss.dtype).max
        self._sharing, self._shared, self._last = sharing, shared, last_shared
        self._given, self._last_given = shared is not None, last_shared is not None
        self._retain = retain_graph
        # Of what has been asked: gradients of leaves that one task alone reaches, with the task; and per-task
        # gradients of the common leaves, None where no task uses one.
        self._heads: dict[Tensor, tuple[int, Tensor]] = {}
        self._rows: dict[Tensor, Rows | None] = {}

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        return self.gramian(space).diagonal().sqrt()

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`.

        Raises:
            BalanceError: no shared parameter is known.
        """
        if space not in self.gramians:
            tasks = len(self.active)
            self.gramians[space] = (
                torch.stack([here.gramian(tasks) for here in self._at_features()]).sum(0)
                if space == "features"
                else products.gramian(self._blocks(space), tasks)
            )
        return self.gramians[space]

    def _blocks(self, space: Space) -> list[Rows]:
        """Return the per-task gradients on parameters, one block for each tensor that any task uses."""
        parameters = self.parameters(space)
        # To know all that is common is to leave no pass for `combine`.
        self._differentiate(parameters if space == "last_shared" else self._parts.common)
        blocks = [self._rows.get(one) for one in parameters]
        alone = [self._heads[one] for one in parameters if one in self._heads]
        return [
            *(block for block in blocks if block is not None),
            *(Rows((task,), gradient.to_dense().flatten().unsqueeze(0)) for task, gradient in alone),
        ]

    def _at_features(self) -> Sequence[Arriving]:
        """Return the tasks' gradients where their graphs meet."""
        if self._parts.uncut:
            uncut = self._tasks[list(self._losses)[self._parts.uncut[0]]]
            raise BalanceError(
                f"task `{uncut}`: there are no features to measure at: it also uses what they are made from",
                hint="`layer: last_shared` and `layer: all_shared` work with any model",
            )
        return self._arriving

    def parameters(self, space: Space) -> Parameters:
        """Return the parameters of a space; those behind features are all.

        Raises:
            BalanceError: no shared parameter is known.
        """
        if self._shared is None:
            self._sharing.see(self._losses, self._parts.shared)
            self._shared = tuple(self._sharing.found)
        if not self._shared:
            raise BalanceError(
                "no parameter is reached by more than one loss of this step, so that nothing is shared",
                hint="name what tasks share: balance(…, shared=list(model.trunk.parameters()))",
            )
        if space != "last_shared":
            return self._shared
        if self._last is None:
            self._last = self._sharing.last(self._losses, self._shared)
        return self._last

    @property
    def nothing_shared_yet(self) -> bool:
        """Whether what tasks share is not known so far, but steps with other tasks may show it."""
        if self._given or self._sharing.found or (len(self._losses) > 1 and bool(self.active.all())):
            return False
        self._sharing.see(self._losses, self._parts.shared)
        return not self._sharing.found

    def reason(self, space: Space) -> str:
        """Return how the parameters of a space were chosen."""
        if space == "last_shared":
            return "the last shared layer, given" if self._last_given else self._sharing.reason
        if space == "features":
            return "the features: what heads read, where the tasks' graphs meet"
        how = "given" if self._given else "found"
        return f"all {len(self.parameters(space))} shared parameters, {how}"

    @property
    def unshared(self) -> tuple[int, ...]:
        """Tasks whose loss is known to depend on no shared parameter; none as long as nothing was asked."""
        if not self.gramians:
            return ()
        shared = set(self.parameters("all_shared"))
        parts = zip(self._losses, self._parts.own, self._parts.edges, strict=True)
        return tuple(task for task, own, edges in parts if not edges and not shared.intersection(own))

    @property
    def leaves(self) -> list[Tensor]:
        """Return all parameters that the losses reach."""
        return [*self._parts.common, *(leaf for own in self._parts.own for leaf in own)]

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Add Σᵢ sharedᵢ·∇Lᵢ to the `.grad` of shared parameters and Σᵢ ownᵢ·∇Lᵢ to that of all others.

        Args:
            shared: [T] weights.
            own: [T] weights.
        """
        alike = torch.equal(shared, own)
        if alike and not self.gramians:
            total = [weight * loss for weight, loss in zip(self._of(own), self._losses.values(), strict=True)]
            torch.stack(total).sum().backward(retain_graph=self._retain)
            return
        is_shared = set(self.parameters("all_shared"))
        left = [leaf for leaf in self._parts.common if leaf not in self._rows]
        groups = [(shared, [leaf for leaf in left if alike or leaf in is_shared])]
        groups += [] if alike else [(own, [leaf for leaf in left if leaf not in is_shared])]
        found: dict[Tensor, Tensor] = {}
        for place, (weights, leaves) in enumerate(groups):
            retain = self._retain or any(rest for _, rest in groups[place + 1 :])
            found |= self._pull(
                dict(zip(self._losses, self._of(weights), strict=True)), leaves, retain=retain
            )
        found = {leaf: gradient.clone() for leaf, gradient in found.items()}  # some are one tensor, or views
        for leaf, rows in self._rows.items():
            if rows is not None:
                found[leaf] = _sum(shared if leaf in is_shared else own, rows).view_as(leaf)
        for leaf, (task, gradient) in self._heads.items():
            found[leaf] = float((shared if leaf in is_shared else own)[task]) * gradient
        for leaf, gradient in found.items():
            leaf.grad = gradient if leaf.grad is None else leaf.grad.add_(gradient)

    @cached_property
    def _parts(self) -> graph.Parts:
        return graph.split(list(self._losses.values()))

    @cached_property
    def _features(self) -> tuple[GradientEdge, ...]:
        """Where the common part of the losses' graphs begins."""
        edges = {(edge.node, edge.output_nr): edge for ends in self._parts.edges for edge in ends}
        return tuple(edges.values())

    @cached_property
    def _arriving(self) -> tuple[Arriving, ...]:
        """The losses' gradients where the common part begins; on the way, the heads' own gradients."""
        own: list[Sequence[Tensor]] = [()] * len(self.active)
        for task, leaves in zip(self._losses, self._parts.own, strict=True):
            own[task] = leaves
        heads = through_heads(self._losses, own, self._features, retain=self._retain)
        for task, gradients in heads.own.items():
            pairs = zip(own[task], gradients, strict=True)
            self._heads |= {leaf: (task, gradient) for leaf, gradient in pairs if gradient is not None}
        return heads.arriving

    def _pull(
        self, weights: Mapping[int, float], leaves: Sequence[Tensor], *, retain: bool
    ) -> dict[Tensor, Tensor]:
        """Return the gradient of Σᵢ wᵢ·Lᵢ on leaves of the common part, by one pass through it."""
        arriving = self._arriving
        here = [
            (edge, part)
            for edge, part in zip(self._features, arriving, strict=True)
            if weights.keys() & set(part.tasks)
        ]
        if not leaves or not here:
            return {}
        found = torch.autograd.grad(
            [edge for edge, _ in here],
            leaves,
            [_weighted(part, weights, len(self.active)) for _, part in here],
            retain_graph=retain,
            allow_unused=True,
        )
        pairs = zip(leaves, found, strict=True)
        return {leaf: gradient for leaf, gradient in pairs if gradient is not None}

    def _differentiate(self, parameters: Sequence[Tensor]) -> None:
        """Find the per-task gradients on parameters of the common part, as far as they are not known."""
        tasks = [task for task in self._losses if any(task in here.tasks for here in self._arriving)]
        wanted, common = set(parameters), self._parts.common
        missing = [leaf for leaf in common if leaf in wanted and leaf not in self._rows]
        complete = all(leaf in self._rows or leaf in wanted for leaf in common)
        found: dict[Tensor, dict[int, Tensor]] = {leaf: {} for leaf in missing}
        for task in tasks if missing else []:
            retain = self._retain or not complete or task != tasks[-1]
            for leaf, gradient in self._pull({task: 1.0}, missing, retain=retain).items():
                found[leaf][task] = gradient.to_dense().flatten()
        for leaf, rows in found.items():
            self._rows[leaf] = Rows(tuple(rows), torch.stack(list(rows.values()))) if rows else None

    def _of(self, weights: Tensor) -> list[float]:
        """Return the weights of the tasks that are present."""
        return [float(weights[task]) for task in self._losses]


def _weighted(part: Arriving, weights: Mapping[int, float], tasks: int) -> Tensor:
    """Return Σᵢ wᵢ·gᵢ at a feature; a single task's without the others, which may not be finite."""
    if len(weights) == 1:
        ((task, weight),) = weights.items()
        return part.rows([task])[0] * weight
    by_task = torch.zeros(tasks, dtype=torch.float64)
    for task, weight in weights.items():
        by_task[task] = weight
    return part.weighted(by_task)


def _sum(weights: Tensor, rows: Rows) -> Tensor:
    return torch.mv(rows.values.t(), weights[list(rows.tasks)].to(rows.values))
