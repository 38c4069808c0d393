"""All tasks' gradients of linear layers from one backward pass, where each row of a batch has one task.

    y = x·Wᵀ + b,   δ = ∂(Σᵢ Lᵢ)/∂y:    ∇_W Lᵢ = Σ_{rows n of i} δₙ x̄ₙᵀ,    ∇_b Lᵢ = Σ_{rows n of i} δₙ

A task's loss depends on its own rows alone, so that the rows of δ are those of the tasks' own derivatives.
This costs what the gradient of the plain sum costs, in place of T times that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtctl.balancing.gradients.gathered import Gathered
from mtctl.balancing.gradients.layers import Linear, linear_layers


def closed_form(
    losses: Mapping[int, Tensor], parameters: Sequence[Tensor], counts: Sequence[int]
) -> list[Gathered] | str:
    """Return the tasks' gradients on every parameter; or why it cannot be done.

    Args:
        losses: a differentiable scalar of each task that is present, by its index.
        parameters: weights and biases of linear layers.
        counts: for each task, its rows of the batch, which stand in the order of the tasks.
    """
    layers = linear_layers(list(losses.values()), parameters, rows_apart=True)
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
    found = [Gathered(len(tasks)) for _ in parameters]
    for gathered, parameter in zip(found, parameters, strict=True):
        if parameter in sums:
            gathered.extend(tasks, sums[parameter])
    return found


def _gradients(
    layer: Linear, delta: Tensor, counts: Sequence[int], tasks: tuple[int, ...]
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
