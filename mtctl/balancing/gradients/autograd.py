"""Per-task gradients of any torch model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from mtctl.balancing.contract import Space
from mtctl.balancing.gradients import lengths, products
from mtctl.balancing.gradients.arriving import Arriving, Stacked
from mtctl.balancing.gradients.backward import Place, accumulate, gradients_at
from mtctl.balancing.gradients.gathered import Gathered, as_gradient
from mtctl.balancing.gradients.heads import Heads, through_heads
from mtctl.balancing.gradients.layers import Linear
from mtctl.balancing.gradients.passes import Passes
from mtctl.balancing.gradients.products import Rows
from mtctl.balancing.gradients.rows import closed_form
from mtctl.errors import MtctlError


class Cut(NamedTuple):
    """The graphs of T losses, cut into heads and what they have in common.

    Args:
        own: for each of the T tasks, the parameters in its head.
        common: the parameters below the heads.
        features: where the heads end; None where nothing is cut, and every pass begins at the losses.
    """

    own: Sequence[Sequence[Tensor]]
    common: Sequence[Tensor]
    features: Sequence[Place] | None


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

    Attributes:
        losses: [T] float64, detached; 0 for inactive tasks.
        importance: [T] float64 1: losses are as their owner has weighted them.
        gramians: those asked for so far.
        how: how per-task gradients of shared parameters were found last, and why so; "" as long as none were.

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
        values = [self._losses[task].item() if task in self._losses else 0.0 for task in range(len(tasks))]
        self.losses = torch.tensor(values, dtype=torch.float64)
        self.gramians: dict[Space, Tensor] = {}
        self.how = ""
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
                "`layer: features`: this problem does not say what its heads read",
                hint="`layer: last_shared` and `layer: all_shared` work with any model",
            )
        return self._spaces[space]

    @cached_property
    def _cut(self) -> Cut:
        return Cut(self._own, self._spaces["all_shared"], self._begin or None)

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
        layer = lengths.short_layer(features, parameters)
        if layer is None or (found := self._at_output(layer, features)) is None:
            return None
        squares = lengths.squared_lengths(layer, found.values)
        if squares is None:
            return None
        norms = torch.zeros(len(self.tasks), dtype=torch.float64)
        norms[list(found.tasks)] = squares.sqrt()
        return norms

    def _at_output(self, layer: Linear, features: Sequence[Tensor]) -> Rows | None:
        """Return the tasks' gradients [tasks, N, out] at a linear layer's outputs; None if there are none."""
        if len(features) == 1 and (slopes := lengths.slopes(features[0], layer)) is not None:
            (here,) = self._heads.arriving
            self.how = "one pass for all tasks, through an activation to the output of a linear layer"
            return Rows(here.tasks, here.rows(here.tasks) * slopes) if here.tasks else None
        (gathered,) = self._passes.single([layer.output])
        self.how = f"{self._passes.how}, to the output of a linear layer"
        if (found := gathered.rows) is None or layer.inputs is None:
            return None
        shape = (len(found.tasks), len(layer.inputs), -1)
        return Rows(found.tasks, as_gradient(found.values, shape, layer.inputs.dtype))

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
        parameters = self.parameters(space)
        if (at_features := self._at_features(space)) is not None:
            gathered = [Gathered(len(here.tasks)) for here in at_features]
            for found, here in zip(gathered, at_features, strict=True):
                found.extend(here.tasks, here.rows(here.tasks))
        else:
            self._differentiate(space)
            gathered = [self._gathered[one] for one in parameters]
        pairs = zip(gathered, parameters, strict=True)
        return torch.cat([found.full(len(self.tasks), one) for found, one in pairs], dim=1)

    def own_norms(self) -> Tensor:
        """Return [T] float64 norms of ∇Lᵢ on each task's own parameters; NaN for a task without any."""
        norms = torch.full((len(self.tasks),), torch.nan, dtype=torch.float64)
        found = self._own_gradients
        for task in self._losses:
            if own := self._cut.own[task]:
                norms[task] = _norm([found[one][1] for one in own if one in found])
        return norms

    @property
    def leaves(self) -> list[Tensor]:
        """All parameters: those that several tasks use, and each task's own."""
        return [*self._cut.common, *(one for own in self._cut.own for one in own)]

    def finite(self) -> bool:
        """Say whether the combined gradient is finite."""
        return math.isfinite(_norm([one.grad for one in self.leaves if one.grad is not None]))

    def combine(self, shared: Tensor, own: Tensor) -> None:
        """Bring Σᵢ sharedᵢ·∇Lᵢ (shared parameters) and Σᵢ ownᵢ·∇Lᵢ (all others) into `.grad`.

        Written, `.grad` of parameters that no active task uses is None. Where both weights are equal this is
        one backward pass of the weighted sum of losses, or what is left of it if heads were passed before.

        Args:
            shared: [T] weights.
            own: [T] weights.
        """
        halfway = "_heads" in self.__dict__ and not self._from_losses
        if halfway or not torch.equal(shared, own):
            self._bring(self._sums(shared, own))
        elif self._accumulates:
            losses = list(self._losses.values())
            torch.autograd.backward(losses, self._at_losses(own), retain_graph=self._retain)
        else:
            leaves = self.leaves
            found = zip(leaves, self._pull(own, leaves, self._retain), strict=True)
            self._bring({leaf: gradient for leaf, gradient in found if gradient is not None})

    def _bring(self, gradients: dict[Tensor, Tensor]) -> None:
        if self._accumulates:
            accumulate(gradients)
            return
        for leaf in self.leaves:
            leaf.grad = gradients.get(leaf)

    def _sums(self, shared: Tensor, own: Tensor) -> dict[Tensor, Tensor]:
        """Return the weighted sums, by parameter."""
        trunk = dict.fromkeys(self.parameters("all_shared"))
        leaves = self.leaves if self._from_losses else self._cut.common
        found = {} if self._from_losses else self._sums_in_heads(shared, own, trunk)
        if self._counts is not None:
            self._differentiate("all_shared")
        alike = torch.equal(shared, own)
        rest = [] if alike else [leaf for leaf in leaves if leaf not in trunk]
        found |= self._sums_below(shared, [leaf for leaf in leaves if alike or leaf in trunk], bool(rest))
        return found | self._sums_below(own, rest, more=False)

    def _sums_in_heads(
        self, shared: Tensor, own: Tensor, trunk: Mapping[Tensor, object]
    ) -> dict[Tensor, Tensor]:
        of_shared, of_own = shared.tolist(), own.tolist()
        weights = [
            (of_shared if leaf in trunk else of_own)[task] for leaf, (task, _) in self._own_gradients.items()
        ]
        gradients = [gradient for _, gradient in self._own_gradients.values()]
        scaled = torch._foreach_mul(gradients, weights) if weights else ()
        return dict(zip(self._own_gradients, scaled, strict=True))

    def _sums_below(self, weights: Tensor, leaves: Sequence[Tensor], more: bool) -> dict[Tensor, Tensor]:
        """Return Σᵢ wᵢ·∇Lᵢ: of the tasks' gradients if all of them are there, else by one more pass.

        Args:
            weights: [T].
            leaves: parameters.
            more: whether another pass follows.
        """
        known = all(leaf in self._gathered for leaf in leaves)
        found: dict[Tensor, Tensor] = {}
        for leaf in leaves:
            gathered = self._gathered.get(leaf)
            if not self._retain:
                self._gathered.pop(leaf, None)  # so that its memory is free for the next
            if known and gathered is not None and gathered.rows is not None:
                found[leaf] = gathered.weighted(weights, leaf)
            del gathered
        if not known:
            pulled = zip(leaves, self._pull(weights, leaves, self._retain or more), strict=True)
            # Some are one tensor, or views of one: not for `.grad`, which others change in place.
            found = {
                leaf: one.clone() if self._accumulates else one for leaf, one in pulled if one is not None
            }
        return found

    def _pull(self, weights: Tensor, leaves: Sequence[Tensor], retain: bool) -> Sequence[Tensor | None]:
        """Return the gradient of Σᵢ wᵢ·Lᵢ by one pass."""
        if "_heads" not in self.__dict__ or self._from_losses:
            return gradients_at(leaves, list(self._losses.values()), self._at_losses(weights), retain=retain)
        return self._passes.weighted(weights, leaves, retain=retain)

    def _at_losses(self, weights: Tensor) -> list[Tensor]:
        by_task = weights.tolist()
        return [torch.full_like(loss, by_task[task]) for task, loss in self._losses.items()]

    @property
    def _from_losses(self) -> bool:
        return self._cut.features is None

    @cached_property
    def _heads(self) -> Heads:
        return through_heads(self._losses, self._cut.own, self._cut.features or (), retain=self._retain)

    @cached_property
    def _own_gradients(self) -> dict[Tensor, tuple[int, Tensor]]:
        """The gradients of parameters in heads, and whose they are."""
        # Rows of a batch are split between the heads: what arrives at their features is not wanted then.
        apart = self._counts is not None and "_heads" not in self.__dict__
        heads = through_heads(self._losses, self._cut.own, ()) if apart else self._heads
        return {
            leaf: (task, gradient)
            for task, gradients in heads.own.items()
            for leaf, gradient in zip(self._cut.own[task], gradients, strict=True)
            if gradient is not None
        }

    @cached_property
    def _passes(self) -> Passes:
        if self._cut.features is not None:
            return Passes(self._cut.features, self._heads.arriving)
        ones = [Stacked((task,), torch.ones_like(loss).unsqueeze(0)) for task, loss in self._losses.items()]
        return Passes(list(self._losses.values()), ones)

    def _at_features(self, space: Space) -> Sequence[Arriving] | None:
        """Return what arrives where the heads end, if that is the space."""
        return self._heads.arriving if space == "features" and self._cut.features else None

    def _blocks(self, space: Space) -> list[Rows]:
        """Return the per-task gradients, one block for each tensor that any task uses."""
        self._differentiate(space)
        return [block for one in self.parameters(space) for block in self._gathered[one].blocks]

    def _differentiate(self, space: Space) -> None:
        """Find the per-task gradients on a space."""
        wanted, common = self.parameters(space), dict.fromkeys(self._cut.common)
        if space == "all_shared" and not self._retain:
            wanted = [*wanted, *common]  # To know all that is common is to leave no pass for `combine`.
        missing = [one for one in dict.fromkeys(wanted) if one not in self._gathered]
        below = missing if self._from_losses else [one for one in missing if one in common]
        if below and self._losses:
            retain = self._retain or not common.keys() <= self._gathered.keys() | set(below)
            self._gathered |= zip(below, self._single(below, retain), strict=True)
        for one in missing:
            if one not in self._gathered:
                self._gathered[one] = Gathered(1)
                if one in self._own_gradients:
                    self._gathered[one].add(*self._own_gradients[one])

    def _single(self, parameters: Sequence[Tensor], retain: bool) -> Sequence[Gathered]:
        reason = ""
        if self._counts is not None:
            found = closed_form(self._losses, parameters, self._counts)
            if not isinstance(found, str):
                self.how = "closed form: one backward pass over the rows of all tasks"
                return found
            reason = f"; no closed form: {found}"
        batched = bool(self._cut.features) and not self._accumulates
        gathered = self._passes.single(parameters, batched=batched, retain=retain)
        self.how = self._passes.how + reason
        return gathered


def _norm(gradients: list[Tensor]) -> float:
    """Return the Euclidean norm of several tensors together; 0 for none."""
    if not gradients:
        return 0.0
    # One call for all, as torch's own clipping does.
    numbers = [one.coalesce().values() if one.layout == torch.sparse_coo else one for one in gradients]
    lengths: tuple[Tensor, ...] = torch._foreach_norm(numbers)
    return float(torch.linalg.vector_norm(torch.stack([length.double() for length in lengths])))
