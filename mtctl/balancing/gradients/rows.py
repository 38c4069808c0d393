"""All tasks' gradients of linear layers from one backward pass, where each row of a batch has one task.

    y = x·Wᵀ + b,   δ = ∂(Σᵢ Lᵢ)/∂y:    ∇_W Lᵢ = Σ_{rows n of i} δₙ xₙᵀ,    ∇_b Lᵢ = Σ_{rows n of i} δₙ

A task's loss depends on its own rows alone, so that the rows of δ are those of the tasks' own derivatives.
This costs what the gradient of the plain sum costs, in place of T times that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from mtctl.balancing.gradients.products import Rows


@dataclass(frozen=True, slots=True)
class _Linear:
    """One use of a linear layer.

    Args:
        output: where its output's derivative can be had.
        inputs: [rows, in].
        weight: [out, in], or None if it is not asked about.
        bias: [out], or None.
    """

    output: GradientEdge
    inputs: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


def closed_form(
    losses: Mapping[int, Tensor], parameters: Sequence[Tensor], counts: Sequence[int]
) -> list[Rows | None] | str:
    """Return each task's gradient on every parameter, None where no task uses one; or why it cannot be done.

    Args:
        losses: a differentiable scalar of each task that is present, by its index.
        parameters: weights and biases of linear layers.
        counts: for each task, its rows of the batch, which stand in the order of the tasks.
    """
    layers = _layers(list(losses.values()), parameters)
    if isinstance(layers, str):
        return layers
    if any(layer.inputs is not None and len(layer.inputs) != sum(counts) for layer in layers):
        return f"a layer does not see one row for each of the batch's {sum(counts)}"
    total = torch.stack(list(losses.values())).sum()
    edges = [layer.output for layer in layers]
    deltas = torch.autograd.grad(total, edges, retain_graph=True) if edges else ()
    sums: dict[Tensor, Tensor] = {}
    tasks = tuple(losses)
    for layer, delta in zip(layers, deltas, strict=True):
        for parameter, rows in _gradients(layer, delta, counts, tasks):
            # A layer that is used twice has the gradients of both uses.
            sums[parameter] = sums[parameter].add_(rows) if parameter in sums else rows
    return [Rows(tasks, sums[one].flatten(1)) if one in sums else None for one in parameters]


def _gradients(
    layer: _Linear, delta: Tensor, counts: Sequence[int], tasks: tuple[int, ...]
) -> list[tuple[Tensor, Tensor]]:
    """Return the layer's parameters with their gradients [tasks, …]."""
    found = []
    even = min(counts) == max(counts) and len(tasks) == len(counts)
    parts = [delta.split(list(counts))[task] for task in tasks]
    grouped = delta.unflatten(0, (len(counts), counts[0])) if even else delta
    if layer.bias is not None:
        found.append((layer.bias, grouped.sum(1) if even else torch.stack([part.sum(0) for part in parts])))
    if layer.weight is not None and layer.inputs is not None:
        if even:
            inputs = layer.inputs.unflatten(0, (len(counts), counts[0]))
            products = torch.bmm(grouped.transpose(1, 2), inputs)
        else:
            inputs_of = layer.inputs.split(list(counts))
            own = zip(parts, (inputs_of[task] for task in tasks), strict=True)
            products = torch.stack([part.t() @ rows for part, rows in own])
        found.append((layer.weight, products))
    return found


def _layers(losses: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[_Linear] | str:
    """Return every use of the parameters in the graph of the losses, or what uses one in another way."""
    leaves = {get_gradient_edge(parameter).node: parameter for parameter in parameters}
    waiting = [get_gradient_edge(loss).node for loss in losses]
    seen = set(waiting)
    found: list[_Linear] = []
    while waiting:
        node = waiting.pop()
        if "BatchNorm" in node.name():
            return f"{node.name()} mixes the rows of tasks"
        children = {child for child, _ in node.next_functions if child is not None}
        layer, operands = _linear(node, leaves)
        if layer is not None:
            found.append(layer)
            children -= operands
        for child in children - seen:
            if child in leaves:
                return f"{node.name()} uses a shared parameter of shape {tuple(leaves[child].shape)}"
            seen.add(child)
            waiting.append(child)
    return found


def _linear(node: Any, leaves: Mapping[Node, Tensor]) -> tuple[_Linear | None, set[Node]]:
    """Return the layer that a product is, and the nodes its parameters come from."""
    operands = [child for child, _ in node.next_functions]
    match node.name():
        case "AddmmBackward0" if node._saved_alpha == node._saved_beta == 1:
            start, _, transposed = operands
        case "MmBackward0":
            start, (_, transposed) = None, operands
        case _:
            return None, set()
    bias, weight = leaves.get(start), None
    if transposed is not None and transposed.name() == "TBackward0":
        weight = leaves.get(transposed.next_functions[0][0])
    if weight is None and bias is None:
        return None, set()
    used = ({start} if bias is not None else set()) | ({transposed} if weight is not None else set())
    # What a node has saved for its own backward pass is documented under "saved tensors" in torch's notes.
    saved = node._saved_mat1 if node.name() == "AddmmBackward0" else node._saved_self
    return _Linear(GradientEdge(node, 0), saved if weight is not None else None, weight, bias), used
