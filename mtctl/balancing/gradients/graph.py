"""Where the graphs of several losses meet, and which parameters they reach."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

COMPILED: Final = "CompiledFunctionBackward"
"""What torch.compile makes of a function, or of a whole model."""
_COMMON: Final = -1
"""Owner of a node that several losses reach."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The graphs of T losses, cut into what one loss alone reaches and what several do.

    Args:
        shared: leaves that several losses reach.
        own: for each loss, the leaves of its own part.
        edges: for each loss, where its own part ends and the common part begins.
        common: the leaves of the common part: the shared ones, and those of losses that could not be cut.
        uncut: the losses that could not be cut.
        opaque: an operation that is none of torch's own, behind which losses cannot be told apart; None if
            there is none. Leaves below it count as shared, whoever they belong to.
        hidden: whether parameters are hidden from the graph, as re-entrant checkpoints hide them.
    """

    shared: tuple[Tensor, ...]
    own: tuple[tuple[Tensor, ...], ...]
    edges: tuple[tuple[GradientEdge, ...], ...]
    common: tuple[Tensor, ...]
    uncut: tuple[int, ...]
    opaque: Node | None
    hidden: bool


def split(losses: Sequence[Tensor]) -> Parts:
    """Return the parts of the losses' graphs. Every node is visited twice at most, however many losses.

    Where one of a loss's edges lies below another (a head that looks at two depths of the trunk), gradients
    at the deeper one could not be told apart from those that come through the other: all of that loss's graph
    then counts as common.
    """
    roots = [get_gradient_edge(loss) for loss in losses]
    owner: dict[Node, int] = {}
    outputs: dict[Node, set[int]] = {}
    for task, root in enumerate(roots):
        _note(root.node, root.output_nr, outputs)
        _claim(root.node, task, owner, outputs)
    edges = _edges(roots, owner)
    shared = _leaves(owner, _COMMON)
    opaque = _opaque(roots, owner, outputs)
    hidden = any(node.name() == "CheckpointFunctionBackward" for node in outputs)
    uncut = tuple(task for task, ends in enumerate(edges) if nested(ends))
    for task in uncut:
        owner.update(dict.fromkeys(below([roots[task].node]), _COMMON))
        edges[task] = (roots[task],)
    own = tuple(_leaves(owner, task) for task in range(len(losses)))
    return Parts(shared, own, tuple(edges), _leaves(owner, _COMMON), uncut, opaque, hidden)


def _claim(root: Node, task: int, owner: dict[Node, int], outputs: dict[Node, set[int]]) -> None:
    """Enter in `owner` everything that is reached from a loss: as the task's, or as common."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        before = owner.get(node)
        if before in (task, _COMMON):
            continue
        owner[node] = task if before is None else _COMMON
        for child, output in node.next_functions:
            if child is not None:
                waiting.append(child)
                _note(child, output, outputs)


def _note(node: Node, output: int, outputs: dict[Node, set[int]]) -> None:
    """Enter in `outputs` which outputs of an operation are used whose inside torch does not know."""
    if isinstance(node, BackwardCFunction):
        outputs.setdefault(node, set()).add(output)


def _opaque(
    roots: Sequence[GradientEdge], owner: Mapping[Node, int], outputs: Mapping[Node, Collection[int]]
) -> Node | None:
    """Return an operation that several losses reach, each of which may depend on other leaves below it.

    That is so where losses use different outputs of it. A compiled model may also put the answers of all
    heads into one output; then nothing with parameters stands between it and any loss.
    """
    for node, used in outputs.items():
        if owner[node] != _COMMON or len(_children(node)) < 2:
            continue
        compiled = node.name() == COMPILED
        if len(used) == 1 and not compiled:
            continue
        ways = [set(_above(root, node)) for root in roots]
        reaching = [task for task, way in enumerate(ways) if way]
        if len({frozenset(ways[task]) for task in reaching}) > 1:
            return node
        if compiled and not any(_leaves(owner, task) for task in reaching):
            return node
    return None


def _above(root: GradientEdge, goal: Node) -> Iterator[int]:
    """Yield the outputs of an operation that a loss uses."""
    if root.node is goal:
        yield root.output_nr
        return
    for node in below([root.node]):
        for child, output in node.next_functions:
            if child is goal:
                yield output


def _edges(roots: Sequence[GradientEdge], owner: dict[Node, int]) -> list[tuple[GradientEdge, ...]]:
    found: list[dict[tuple[Node, int], None]] = [{} for _ in roots]
    for task, root in enumerate(roots):
        if owner[root.node] == _COMMON:
            found[task][root.node, root.output_nr] = None
    for node, task in owner.items():
        if task != _COMMON:
            for child, place in node.next_functions:
                if child is not None and owner[child] == _COMMON:
                    found[task][child, place] = None
    return [tuple(GradientEdge(*edge) for edge in edges) for edges in found]


def nested(edges: Iterable[GradientEdge]) -> bool:
    """Say whether one of the edges is computed from another."""
    nodes = {edge.node for edge in edges}
    if len(nodes) < 2:
        return False
    return any(node in nodes for node in below({child for node in nodes for child in _children(node)}))


def below(starts: Collection[Node]) -> Iterator[Node]:
    """Yield the nodes that are reached from `starts`, these included."""
    waiting, seen = list(starts), set(starts)
    while waiting:
        node = waiting.pop()
        yield node
        for child in _children(node):
            if child not in seen:
                seen.add(child)
                waiting.append(child)


def _children(node: Node) -> list[Node]:
    return [child for child, _ in node.next_functions if child is not None]


def _leaves(owner: Mapping[Node, int], task: int) -> tuple[Tensor, ...]:
    leaves = (leaf(node) for node, owned_by in owner.items() if owned_by == task)
    return tuple(one for one in leaves if one is not None)


def leaf(node: Node) -> Tensor | None:
    """Return the tensor that a node at the bottom of a graph accumulates gradients of."""
    return None if node.next_functions else getattr(node, "variable", None)


def leaves(loss: Tensor) -> dict[Tensor, None] | None:
    """Return what a loss depends on; None where one operation hides that: it may be that of all heads."""
    nodes = list(below([get_gradient_edge(loss).node]))
    found = dict.fromkeys(one for one in map(leaf, nodes) if one is not None)
    for node in nodes:
        if isinstance(node, BackwardCFunction) and len(_children(node)) > 1:
            behind = {one for one in map(leaf, below(_children(node))) if one is not None}
            whole = node.name() == COMPILED and behind == found.keys()
            if whole or len(node._input_metadata) > 1:
                return None
    return found


def last_layer(losses: Sequence[Tensor], shared: Collection[Tensor]) -> tuple[str, tuple[Tensor, ...]] | None:
    """Return the latest operation on shared parameters that every loss depends on, and these parameters.

    Latest in the forward pass, and on at least one parameter with two dimensions or more: gains and biases
    of a normalisation at the end of a trunk are no measure of it. None if there is no such operation.
    """
    reached = [set(below([get_gradient_edge(loss).node])) for loss in losses]
    among = set(shared)
    for node in sorted(set.intersection(*reached), key=_created, reverse=True):
        operands = [_behind(child) for child, _ in node.next_functions if child is not None]
        found = tuple(one for one in dict.fromkeys(operands) if one is not None and one in among)
        if len(node.next_functions) > 1 and any(one.dim() > 1 for one in found):
            return node.name(), found
    return None


def _created(node: Node) -> int:
    """Return a number that is higher for nodes which were made later."""
    return int(node._sequence_nr())


def _behind(node: Node) -> Tensor | None:
    """Return the leaf that an operand is a view, a transpose or a cast of."""
    while len(node.next_functions) == 1 and (child := node.next_functions[0][0]) is not None:
        node = child
    return leaf(node)
