"""Per-task gradients of any torch model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients import lengths, products
from mtctl.balancing.gradients.arriving import Arriving
from mtctl.balancing.gradients.backward import accumulate
from mtctl.balancing.gradients.gathered import Gathered, added
from mtctl.balancing.gradients.passes import Cut, Passes, at_losses
from mtctl.balancing.gradients.products import Rows, real_rows
from mtctl.errors import MtctlError


class AutogradGradients:
    """Losses and per-task gradients of any torch model, by backward passes that are made only when needed.

    With the tensors that the heads read (`features`), a head is passed once, and what T tasks cost is T
    passes through the shared part, made as a batch; only methods that look at shared parameters pay that.
    Without them, each of the T passes starts at a loss. Weights of whole losses cost one backward pass, whose
    gradients are those of Σ wᵢ·Lᵢ: bit for bit, whatever was asked before, except that with features a head
    that has been passed is not passed again, so that the last digits differ if something was asked.

    Args:
        tasks: names of the T tasks.
        losses: a differentiable scalar for each task, by name; those of inactive tasks may be left out.
            Entries of one tensor would do, but each task's backward pass then walks through all tasks' heads.
        shared: parameters that several tasks use.
        own: for each task, the parameters that only it uses.
        last_shared: the last shared layer's parameters, some of `shared`.
        features: what the space `features` means: the last shared representation, or several of them.
        cut: whether the losses depend on `shared` through the features alone, none of which is computed from
            another one: passes through shared parameters then begin there. Gradients are wrong otherwise.
        rows: how many rows of the batch belong to each task, if the rows stand in the order of the tasks and
            a task's loss depends on its own rows alone, as with a batch for each task. Shared layers that are
            linear then give all tasks' gradients in one backward pass.
        active: [T] bool; all tasks if left out.
        accumulate: whether `combine` adds to `.grad`, hooks and all, as `loss.backward()` does, in place of
            writing it. Tasks are then passed one by one, so that hooks between parameters and losses see each
            gradient as it is.
        auxiliary: a differentiable scalar that is optimised beside the tasks' losses, with weight 1, and that
            no method sees, such as a critic's loss. It costs one more backward pass.
        auxiliary_own: parameters that only it uses.

    Attributes:
        losses: [T] float64, detached; 0 for inactive tasks.
        importance: [T] float64 1: losses are as their owner has weighted them.
        gramians: those asked for so far.

    Raises:
        ValueError: an active task has no loss, or `own` is not one list for each task.
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        losses: Mapping[str, Tensor],
        *,
        shared: Sequence[Tensor],
        own: Sequence[Sequence[Tensor]],
        last_shared: Sequence[Tensor],
        features: Sequence[Tensor] = (),
        cut: bool = True,
        rows: Sequence[int] | None = None,
        active: Tensor | None = None,
        accumulate: bool = False,
        auxiliary: Tensor | None = None,
        auxiliary_own: Sequence[Tensor] = (),
    ) -> None:
        self.tasks = tasks
        self.active = torch.ones(len(tasks), dtype=torch.bool) if active is None else active
        self.importance = torch.ones(len(tasks), dtype=torch.float64)
        present = [task for task, is_active in enumerate(self.active.tolist()) if is_active]
        if missing := [tasks[task] for task in present if tasks[task] not in losses]:
            raise ValueError(f"losses: no loss for {', '.join(missing)}")
        if len(own) != len(tasks):
            raise ValueError(f"own: expected parameters for each of {len(tasks)} tasks, found {len(own)}")
        self._losses = {task: losses[tasks[task]] for task in present}
        # Fetched from wherever they are in one go.
        known = torch.stack([loss.detach() for loss in self._losses.values()]).tolist() if present else []
        values = dict(zip(present, known, strict=True))
        self.losses = torch.tensor([values.get(task, 0.0) for task in range(len(tasks))], dtype=torch.float64)
        self.auxiliary = None if auxiliary is None else auxiliary.detach()
        self._auxiliary, self._auxiliary_own = auxiliary, auxiliary_own
        self.gramians: dict[Space, Tensor] = {}
        self._spaces: dict[Space, Sequence[Tensor]] = {
            "all_shared": shared,
            "last_shared": last_shared,
            "features": features,
        }
        self._own, self._begin = own, features if cut else ()
        self._counts, self._accumulates, self._retain = rows, accumulate, True
        # Per-task gradients of what has been asked about.
        self._gathered: dict[Tensor, Gathered] = {}

    def parameters(self, space: Space) -> Sequence[Tensor]:
        """Return what per-task gradients on a space are gradients of."""
        if space == "features" and not self._spaces[space]:
            raise MtctlError(
                "`layer: features`: this problem does not name the inputs of its heads",
                hint="`layer: last_shared` and `layer: all_shared` work with any model",
            )
        return self._spaces[space]

    @cached_property
    def _cut(self) -> Cut:
        return Cut(self._own, self._spaces["all_shared"], self._begin or None)

    @cached_property
    def _passes(self) -> Passes:
        return Passes(
            self._losses,
            self._cut,
            counts=self._counts,
            batched=not self._accumulates,
            retain=self._retain,
        )

    @property
    def how(self) -> str:
        """How per-task gradients were found last, and why so; "" as long as none were."""
        return self._passes.how

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        if (at_features := self._at_features(space)) is not None:
            parts = [here.norms(len(self.tasks)) for here in at_features]
            return parts[0] if len(parts) == 1 else torch.stack(parts).square().sum(0).sqrt()
        short = self._norms_of_short_layer(space)
        return products.norms(self._blocks(space), len(self.tasks)) if short is None else short

    def _norms_of_short_layer(self, space: Space) -> Tensor | None:
        """Return the norms if they can be had for less than the gradients: see `lengths`."""
        parameters, features = self.parameters(space), self._begin
        if not features or self._counts is not None or any(one in self._gathered for one in parameters):
            return None
        if (layer := lengths.short_layer(features, parameters)) is None:
            return None
        return lengths.norms(layer, features, self._passes, len(self.tasks))

    def gramian(self, space: Space) -> Tensor:
        """Return [T, T] float64 inner products of the per-task gradients on `space`."""
        if space not in self.gramians:
            tasks = len(self.tasks)
            if (at_features := self._at_features(space)) is not None:
                self.gramians[space] = torch.stack([here.gramian(tasks) for here in at_features]).sum(0)
            else:
                self.gramians[space] = products.gramian(self._blocks(space), tasks)
        return self.gramians[space]

    def jacobian(self, space: Space) -> Tensor:
        """Return [T, P] the per-task gradients on the P numbers of `space`; 0 where a task uses none.

        A complex number counts as two.
        """
        places, tasks = self.parameters(space), range(len(self.tasks))
        found = self._at_features(space) or self._differentiate(space)
        rows = [
            here.rows(tasks) if here.tasks else place.detach().new_zeros(len(tasks), *place.shape)
            for place, here in zip(places, found, strict=True)
        ]
        return torch.cat([real_rows(one) for one in rows], dim=1)

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        norms = torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)
        for task in self._losses:
            if own := self._of_head(task):
                found = [self._passes.own.get(one) for one in own]
                norms[task] = _norm([gradient for gradient in found if gradient is not None])
        return norms

    def _of_head(self, task: int) -> Sequence[Tensor]:
        """Return the parameters that only this task uses."""
        return self._cut.own[task]

    @property
    def leaves(self) -> list[Tensor]:
        """All parameters: those that several tasks use, and each task's own."""
        return [*self._cut.common, *(one for own in self._cut.own for one in own)]

    def finite(self) -> bool:
        """Say whether the combined gradient is finite."""
        gradients = [one.grad for one in (*self.leaves, *self._auxiliary_own) if one.grad is not None]
        # Squares may overflow where numbers do not: the largest of these then decides.
        return math.isfinite(_norm(gradients)) or all(
            math.isfinite(numbers.abs().max().item())
            for numbers in map(_numbers, gradients)
            if numbers.numel()
        )

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Bring Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and Σᵢ ownᵢ·∇Lᵢ (all others) into `.grad`.

        Written, `.grad` of parameters that no active task uses is None. Where both weights are equal this is
        one backward pass of the weighted sum of losses, or what is left of it if heads were passed before. An
        auxiliary loss adds its gradient, by a pass of its own.

        Args:
            shared: [T] weights.
            own: [T] weights.
        """
        self._combine_tasks(shared, own)
        if self._auxiliary is not None:
            self._add_auxiliary(self._auxiliary)

    def _add_auxiliary(self, loss: Tensor) -> None:
        if not self._accumulates:
            for leaf in self._auxiliary_own:
                leaf.grad = None
        reached = [*self.leaves, *self._auxiliary_own]
        gradients = torch.autograd.grad(loss, reached, retain_graph=True, allow_unused=True)
        for leaf, gradient in zip(reached, gradients, strict=True):
            if gradient is not None:
                leaf.grad = gradient if leaf.grad is None else added(leaf.grad, gradient)

    def _combine_tasks(self, shared: Tensor, own: Tensor) -> None:
        whole = torch.equal(shared, own) and not self._halfway
        if whole and self._accumulates:
            losses = list(self._losses.values())
            torch.autograd.backward(losses, at_losses(self._losses, own), retain_graph=self._retain)
            return
        gradients = self._pull(own, self.leaves, more=False) if whole else self._sums(shared, own)
        if self._accumulates:
            accumulate(gradients)
            return
        for leaf in self.leaves:
            leaf.grad = gradients.get(leaf)

    @property
    def _halfway(self) -> bool:
        return "_passes" in self.__dict__ and self._passes.halfway

    def _sums(self, shared: Tensor, own: Tensor) -> dict[Tensor, Tensor]:
        """Return the weighted sums, by parameter."""
        trunk = dict.fromkeys(self.parameters("all_shared"))
        if self._counts is not None:
            self._differentiate("all_shared")
        leaves, found = self.leaves, {}
        if self._cut.features is not None:
            leaves, found = [*self._cut.common], self._sums_in_heads(shared, own, trunk)
        alike = torch.equal(shared, own)
        rest = [] if alike else [leaf for leaf in leaves if leaf not in trunk]
        found |= self._sums_below(shared, [one for one in leaves if alike or one in trunk], more=bool(rest))
        return found | self._sums_below(own, rest, more=False)

    def _sums_in_heads(
        self, shared: Tensor, own: Tensor, trunk: Mapping[Tensor, object]
    ) -> dict[Tensor, Tensor]:
        of_shared, of_own = shared.tolist(), own.tolist()
        weights = {
            leaf: (of_shared if leaf in trunk else of_own)[task]
            for task in self._losses
            for leaf in self._cut.own[task]
            if leaf in self._passes.own
        }
        if not weights:
            return {}
        scaled = torch._foreach_mul([self._passes.own[leaf] for leaf in weights], [*weights.values()])
        return dict(zip(weights, scaled, strict=True))

    def _sums_below(self, weights: Tensor, leaves: Sequence[Tensor], *, more: bool) -> dict[Tensor, Tensor]:
        """Return Σᵢ wᵢ·∇Lᵢ: of the tasks' gradients if all of them are there, else by one more pass.

        Args:
            weights: [T].
            leaves: parameters.
            more: whether another pass follows.
        """
        if all(leaf in self._gathered for leaf in leaves):
            # Dropped if nothing can follow, so that its memory is free for the next.
            take = self._gathered.__getitem__ if self._retain else self._gathered.pop
            return {leaf: take(leaf).weighted(weights) for leaf in leaves if self._gathered[leaf].tasks}
        if not self._retain:
            self._gathered.clear()
        return self._pull(weights, leaves, more=more)

    def _pull(self, weights: Tensor, leaves: Sequence[Tensor], *, more: bool) -> dict[Tensor, Tensor]:
        """Return Σᵢ wᵢ·∇Lᵢ by one pass."""
        pulled = zip(leaves, self._passes.weighted(weights, leaves, retain=more), strict=True)
        # Some are one tensor, or views of one: not for `.grad`, which others change in place.
        return {leaf: one.clone() if self._accumulates else one for leaf, one in pulled if one is not None}

    def _at_features(self, space: Space) -> Sequence[Arriving] | None:
        """Return what arrives where the heads end, if that is the space."""
        return self._passes.heads.arriving if space == "features" and self._cut.features else None

    def _blocks(self, space: Space) -> list[Rows]:
        """Return the per-task gradients, one block for each tensor that any task uses."""
        return [block for gathered in self._differentiate(space) for block in gathered.blocks]

    def _differentiate(self, space: Space) -> Sequence[Gathered]:
        """Return the per-task gradients on the parameters of a space."""
        parameters, common = self.parameters(space), dict.fromkeys(self._cut.common)
        # To know all that is common is to leave no pass for `combine`, and to free the graph.
        wanted = [*parameters, *common] if space == "all_shared" and not self._retain else parameters
        missing = [one for one in dict.fromkeys(wanted) if one not in self._gathered]
        below = [one for one in missing if self._cut.features is None or one in common]
        if below and self._losses:
            complete = common.keys() <= self._gathered.keys() | set(below)
            self._gathered |= zip(below, self._passes.single(below, retain=not complete), strict=True)
        for one in missing:
            if one not in self._gathered:
                self._gathered[one] = self._alone(one)
        return [self._gathered[one] for one in parameters]

    def _alone(self, parameter: Tensor) -> Gathered:
        """Return the gradient of a parameter that one task uses, or none."""
        gathered = Gathered(1)
        for task in self._losses:
            if parameter in set(self._cut.own[task]) & self._passes.own.keys():
                gathered.add(task, self._passes.own[parameter])
        return gathered


def _norm(gradients: list[Tensor]) -> float:
    """Return the Euclidean norm of several tensors together; 0 for none."""
    if not gradients:
        return 0.0
    # One call for all, as torch's own clipping does.
    lengths: tuple[Tensor, ...] = torch._foreach_norm([_numbers(one) for one in gradients])
    return float(torch.linalg.vector_norm(torch.stack([length.double() for length in lengths])))


def _numbers(gradient: Tensor) -> Tensor:
    """Return the numbers that a gradient holds, which may be sparse."""
    return gradient.coalesce().values() if gradient.layout == torch.sparse_coo else gradient
