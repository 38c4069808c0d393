"""The tensors between what tasks share and their heads, and what the heads send back there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from mtctl.balancing.gradients.products import Rows
from mtctl.errors import MtctlError


class Heads:
    """One backward pass through each task's head, which yields two things at once.

    Args:
        losses: a differentiable scalar of each task that is present, by its index.
        own: for each task, the parameters that only it uses.
        features: where heads begin; none: the gradients of own parameters are all that is found.

    Attributes:
        own: by task, the gradients of its own parameters; None where its loss does not depend on one.
        arriving: for each feature, the gradients [tasks, *feature's shape] of the tasks that read it.
    """

    def __init__(
        self, losses: Mapping[int, Tensor], own: Sequence[Sequence[Tensor]], features: Sequence[Tensor]
    ) -> None:
        self.own: dict[int, tuple[Tensor | None, ...]] = {}
        at: list[dict[int, Tensor]] = [{} for _ in features]
        for task, loss in losses.items():
            wanted = [*own[task], *features]
            found = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True) if wanted else ()
            self.own[task] = found[: len(own[task])]
            for of_feature, gradient in zip(at, found[len(own[task]) :], strict=True):
                if gradient is not None:
                    of_feature[task] = gradient
        self.arriving = [
            Rows(tuple(by_task), torch.stack(list(by_task.values())) if by_task else torch.zeros(0))
            for by_task in at
        ]


def refuse_detours(
    losses: Mapping[str, Tensor], features: Sequence[Tensor], shared: Sequence[Tensor]
) -> None:
    """Make sure that features cut the graph: all losses depend on shared parameters through them alone.

    Otherwise gradients would be wrong without a sign of it. This visits every node of the graph, so ask it
    about a model's first step, not about each.

    Args:
        losses: differentiable scalars, by task.
        features: what the heads read.
        shared: parameters that several tasks use.

    Raises:
        MtctlError: a loss reaches a shared parameter past the features, or one feature depends on another.
    """
    cut = {get_gradient_edge(feature).node: place for place, feature in enumerate(features)}
    for place, feature in enumerate(features):
        start = get_gradient_edge(feature).node
        for node in _below([child for child, _ in start.next_functions if child is not None], set()):
            if node in cut:
                raise MtctlError(
                    f"features: number {cut[node]} is among what number {place} is computed from, so that it "
                    "would count twice",
                    hint="name the last tensors that the tasks share, none of which is computed from another",
                )
    ends = {get_gradient_edge(parameter).node for parameter in shared}
    for task, loss in losses.items():
        for node in _below([get_gradient_edge(loss).node], set(cut)):
            if node in ends:
                raise MtctlError(
                    f"features: the loss of `{task}` reaches a shared parameter without passing them",
                    hint="name every tensor that leads from the shared part to a head, or give no features",
                )


def _below(starts: Sequence[Node], stops: set[Node]) -> Iterator[Node]:
    """Yield the nodes that are reached from `starts` without passing `stops`."""
    waiting = [node for node in starts if node not in stops]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        fresh = {child for child, _ in node.next_functions if child is not None} - seen - stops
        seen |= fresh
        waiting += fresh
