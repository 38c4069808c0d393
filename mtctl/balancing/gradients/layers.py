"""Where linear layers are used in an autograd graph, and what goes into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge


@dataclass(frozen=True, slots=True)
class Linear:
    """One use of a linear layer.

    Args:
        output: where its output's derivative can be had.
        inputs: [rows, in], conjugate where they are complex, so that ∇_W L = δᵀ·x̄; None without the weight.
        weight: [out, in], or None if it is not asked about.
        bias: [out], or None.
        nodes: those of the graph through which weight and bias get there.
    """

    output: GradientEdge
    inputs: Tensor | None
    weight: Tensor | None
    bias: Tensor | None
    nodes: frozenset[Node]


def linear_layers(
    tops: Sequence[Tensor], parameters: Sequence[Tensor], *, rows_apart: bool = False
) -> list[Linear] | str:
    """Return every use of the parameters in a graph, or what uses one in another way.

    Args:
        tops: where the graph begins, such as losses.
        parameters: some of its leaves.
        rows_apart: whether operations are refused that mix the rows of a batch.
    """
    leaves = {get_gradient_edge(parameter).node: parameter for parameter in parameters}
    waiting = [get_gradient_edge(top).node for top in tops]
    seen = set(waiting)
    found: list[Linear] = []
    while waiting:
        node = waiting.pop()
        if rows_apart and "BatchNorm" in node.name():
            return f"{node.name()} mixes the rows of tasks"
        children = {child for child, _ in node.next_functions if child is not None}
        layer = linear(node, leaves)
        if layer is not None and layer.nodes:
            found.append(layer)
            children -= layer.nodes
        for child in children - seen:
            if child in leaves:
                return f"{node.name()} uses a shared parameter of shape {tuple(leaves[child].shape)}"
            seen.add(child)
            waiting.append(child)
    return found


def linear(node: Any, leaves: Mapping[Node, Tensor]) -> Linear | None:
    """Return the linear layer that an operation of the graph is; None if it is none.

    Args:
        node: the operation.
        leaves: the parameters asked about, by their nodes.
    """
    operands = [child for child, _ in node.next_functions]
    match node.name():
        case "AddmmBackward0" if node._saved_alpha == node._saved_beta == 1:
            start, _, transposed = operands
        case "MmBackward0":
            start, (_, transposed) = None, operands
        case _:
            return None
    bias, weight, inputs = leaves.get(start), None, None
    if transposed is not None and transposed.name() == "TBackward0":
        weight = leaves.get(transposed.next_functions[0][0])
    nodes = {child for child, used in ((start, bias), (transposed, weight)) if used is not None}
    if weight is not None:
        # What a node saves for its own backward pass is documented under "saved tensors" in torch's notes.
        saved: Tensor = node._saved_mat1 if node.name() == "AddmmBackward0" else node._saved_self
        inputs = saved.detach().conj()
    return Linear(GradientEdge(node, 0), inputs, weight, bias, frozenset(nodes))
