"""Gradients of named losses on whatever model they come from, added to `.grad`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Final, Self

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from mtctl.balancing.contract import Space
from mtctl.balancing.errors import BalanceError
from mtctl.balancing.gradients import AutogradGradients, graph
from mtctl.balancing.gradients.arriving import Arriving
from mtctl.balancing.gradients.passes import Cut
from mtctl.library.sharing import Parameters, Sharing


class LossGradients(AutogradGradients):
    """Losses and per-task gradients of a model that nothing is said about: its graph shows what is shared.

    A head is passed once, down to where the tasks' graphs meet. Below that, per-task gradients cost one pass
    for each task, and a weighted sum one pass in all. Where nothing is asked, `combine` is the plain backward
    pass of the weighted sum of losses. Each pass frees what no later one needs.

    Args:
        tasks: names of the T tasks.
        losses: differentiable scalars of the tasks that are present, by name.
        sharing: what is known of shared parameters; used where these are not given.
        shared: the shared parameters.
        last_shared: the last shared layer's.
        retain_graph: whether to leave the graph for further passes.

    Attributes:
        limits: [T] float64, the largest weight in the precision of each loss.
        measured_own: [T] float64 norms on the tasks' own parameters, once `measure` was called.
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
        if torch.is_inference_mode_enabled():
            raise BalanceError(
                "gradients cannot be balanced within torch.inference_mode()",
                hint="balance outside of it, or under torch.no_grad()",
            )
        super().__init__(
            tasks,
            losses,
            shared=(),
            own=[()] * len(tasks),
            last_shared=(),
            active=torch.tensor([task in losses for task in tasks]),
            accumulate=True,
        )
        self._retain = retain_graph
        self.measured_own: Tensor | None = None
        self.limits = torch.full_like(self.losses, torch.inf)
        for place, loss in self._losses.items():
            self.limits[place] = torch.finfo(loss.dtype).max
        self._sharing, self._shared, self._last = sharing, shared, last_shared
        self._given, self._last_given = shared is not None, last_shared is not None

    def norms(self, space: Space) -> Tensor:
        """Return [T] float64 norms of the per-task gradients on `space`."""
        return self.gramian(space).diagonal().sqrt()

    def measure(self) -> None:
        """Find norms on the tasks' own parameters, and the Gramian on all shared ones, for the report alone.

        `combine` then does what it would have done without: its passes, its hooks, its last digits.

        Raises:
            BalanceError: it cannot be told what is shared, or nothing is; norms on own parameters are known.
        """
        looking = self._looking()
        self.measured_own = looking.own_norms()
        looking.gramian("all_shared")

    def _looking(self) -> Self:
        """Return a copy that keeps to itself what it finds, and leaves the graph for `combine`."""
        looking = copy(self)
        looking._passes, looking._gathered = copy(self._passes), dict(self._gathered)
        looking._passes.retain = looking._retain = True
        return looking

    def _of_head(self, task: int) -> Sequence[Tensor]:
        # In a step without the other tasks, the trunk looks like the task's own.
        shared = self._sharing.found if self._shared is None else set(self._shared)
        return [one for one in super()._of_head(task) if one not in shared]

    def _at_features(self, space: Space) -> Sequence[Arriving] | None:
        if space != "features":
            return None
        if self._parts.opaque is not None:
            raise _opaque(self._parts.opaque, "`layer: features` finds no features")
        apart = not self._cut.features
        if apart or self._parts.uncut:
            why = (
                "it shares none with another task of this step"
                if apart
                else "it also uses what they are computed from"
            )
            task = self.tasks[list(self._losses)[0 if apart else self._parts.uncut[0]]]
            raise BalanceError(
                f"task `{task}`: `layer: features` finds no features: {why}",
                hint="`layer: last_shared` and `layer: all_shared` work with any model",
            )
        return self._passes.heads.arriving

    def parameters(self, space: Space) -> Parameters:
        """Return the parameters of a space; those behind features are all.

        Raises:
            BalanceError: no shared parameter is known.
        """
        if self._shared is None:
            self._shared = self._found()
        if self._given and self.active.all() and set(self._shared).isdisjoint(self.leaves):
            raise BalanceError(
                f"shared: no loss depends on any of the {len(self._shared)} parameters given",
                hint="name parameters of the model that made the losses: balance(…, "
                "shared=list(model.trunk.parameters()))",
            )
        if not self._shared:
            raise BalanceError(
                "no two losses of this step depend on a common parameter, so nothing is shared",
                hint="name what tasks share: balance(…, shared=list(model.trunk.parameters()))",
            )
        if space != "last_shared":
            return self._shared
        if self._last is None:
            self._last = self._last_layer(self._shared)
        return self._last

    def _found(self) -> Parameters:
        """Return the shared parameters, where they are not given."""
        if self._parts.opaque is not None:
            raise self._not_told_apart(self._parts.opaque)
        self._sharing.see(self._losses, self._parts.shared)
        return tuple(self._sharing.found)

    def _last_layer(self, shared: Parameters) -> Parameters:
        """Return the last shared layer, where it is not given."""
        return self._sharing.last(self._losses, shared)

    def joined(self, make: Callable[[], Tensor]) -> Tensor:
        """Return [T] values of this batch's losses as the method sees them: as `make` returns them."""
        return make()

    @property
    def present(self) -> Collection[int]:
        """The tasks that have a loss here."""
        return self._losses.keys()

    @staticmethod
    def _not_told_apart(node: Node) -> BalanceError:
        return _opaque(node, "shared parameters cannot be distinguished from the tasks' own")

    @property
    def nothing_shared_yet(self) -> bool:
        """Whether what tasks share is not known so far, but steps with other tasks may show it."""
        if self._given or self._sharing.found or (len(self._losses) > 1 and bool(self.active.all())):
            return False
        if self._parts.opaque is not None:
            return False  # and never will be: asking says so
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

    @cached_property
    def _parts(self) -> graph.Parts:
        found = graph.split(list(self._losses.values()))
        if found.hidden:
            raise BalanceError(
                "checkpoints with use_reentrant=True hide their parameters from the losses' graphs",
                hint="torch.utils.checkpoint.checkpoint(…, use_reentrant=False)",
            )
        return found

    @cached_property
    def _cut(self) -> Cut:
        own: list[Sequence[Tensor]] = [()] * len(self.tasks)
        for task, leaves in zip(self._losses, self._parts.own, strict=True):
            own[task] = leaves
        features: dict[tuple[Node, int], GradientEdge] = {
            (edge.node, edge.output_nr): edge for ends in self._parts.edges for edge in ends
        }
        return Cut(own, self._parts.common, tuple(features.values()))


_REMEDIES: Final = {
    graph.COMPILED: "; or compile the trunk alone: model.trunk = torch.compile(model.trunk)",
    "_DDPSinkBackward": "; or leave find_unused_parameters out of DistributedDataParallel",
}
"""What else helps, by the operation that hides what is behind it."""


def _opaque(node: Node, problem: str) -> BalanceError:
    compiled = node.name() == graph.COMPILED
    what = (
        "torch.compile made one operation of several tasks"
        if compiled
        else f"{node.name()} belongs to several tasks"
    )
    also = _REMEDIES.get(node.name(), "")
    return BalanceError(
        f"{what}, which does not show what each loss depends on: {problem}",
        hint=f"name what tasks share: balance(…, shared=list(model.trunk.parameters())){also}",
    )
