"""The tensors between what tasks share and their heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from mtctl.errors import MtctlError


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
        for node in below([child for child, _ in start.next_functions if child is not None], set()):
            if node in cut:
                raise MtctlError(
                    f"features: number {cut[node]} is among what number {place} is computed from, so that it "
                    "would count twice",
                    hint="name the last tensors that the tasks share, none of which is computed from another",
                )
    ends = {get_gradient_edge(parameter).node for parameter in shared}
    for task, loss in losses.items():
        for node in below([get_gradient_edge(loss).node], set(cut)):
            if node in ends:
                raise MtctlError(
                    f"features: the loss of `{task}` reaches a shared parameter without passing them",
                    hint="name every tensor that leads from the shared part to a head, or give no features",
                )


def below(starts: Sequence[Node], stops: set[Node]) -> Iterator[Node]:
    """Yield the nodes that are reached from `starts` without passing `stops`."""
    waiting = [node for node in starts if node not in stops]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        fresh = {child for child, _ in node.next_functions if child is not None} - seen - stops
        seen |= fresh
        waiting += fresh
