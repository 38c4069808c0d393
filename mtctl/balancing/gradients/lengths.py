"""Lengths of the tasks' gradients of one linear layer, without these gradients.

    y = x·Wᵀ + b,   δᵢ = ∂Lᵢ/∂y:    ‖∇_W Lᵢ‖² = ‖δᵢᵀx̄‖² = Σₙₘ (x̄ₙ·xₘ)·(δᵢₙ·δ̄ᵢₘ),    ‖∇_b Lᵢ‖² = Σₙₘ δᵢₙ·δ̄ᵢₘ

Products of rows with rows cost N²·out multiplications for each task, the gradients themselves N·in·out: with
fewer rows N than inputs, the lengths are the cheaper ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from mtctl.balancing.gradients.layers import Linear, linear_layers
from mtctl.balancing.gradients.passes import Passes
from mtctl.balancing.gradients.products import LARGEST, SMALLEST, at_least_float32

_CANCELLED: Final = 1e-4
"""What is left of the rows' lengths in that of their sum, squared: below, rounding (6e-8 of each product in
float32; the products are added up in double) could show in the fourth digit."""


_ACTIVATIONS: Final = frozenset(
    f"{name}Backward0"
    for name in ("Relu", "LeakyRelu", "Elu", "Gelu", "Silu", "Mish", "Softplus", "Tanh", "Sigmoid")
)
"""Operations on each number by itself, so that one pass gives the derivatives that all tasks share."""


def short_layer(tops: Sequence[Tensor], parameters: Sequence[Tensor]) -> Linear | None:
    """Return the layer that the parameters are, if it is linear, used once, and has fewer rows than inputs.

    Args:
        tops: what is computed from the layer, such as features.
        parameters: a weight, or a weight and a bias.
    """
    if not 1 <= len(parameters) <= 2:
        return None
    layers = linear_layers(tops, parameters)
    if isinstance(layers, str) or len(layers) != 1:
        return None
    (layer,) = layers
    if layer.inputs is None or (layer.bias is None) == (len(parameters) == 2):
        return None
    rows, width = layer.inputs.shape
    return layer if rows < width else None


def slopes(top: Tensor, layer: Linear) -> Tensor | None:
    """Return ∂top/∂y [N, out] if `top` is an activation of the layer's outputs y, one by one; else None."""
    edge: Any = get_gradient_edge(top)
    if edge.node.name() not in _ACTIVATIONS or edge.node.next_functions[0] != (layer.output.node, 0):
        return None
    (found,) = torch.autograd.grad(top, layer.output, torch.ones_like(top), retain_graph=True)
    return found


def norms(layer: Linear, features: Sequence[Tensor], passes: Passes, tasks: int) -> Tensor | None:
    """Return [T] float64 norms of T tasks' gradients of a layer; None if they are lost in rounding.

    Args:
        layer: below the features.
        features: what heads read.
        passes: those that begin there.
        tasks: T.
    """
    if len(features) == 1 and (found := slopes(features[0], layer)) is not None:
        (here,) = passes.heads.arriving
        passes.how = "one pass for all tasks, through an activation to the output of a linear layer"
        deltas = [(here.tasks, here.rows(here.tasks) * found)] if here.tasks else []
    else:
        (at_output,) = passes.passed([layer.output])
        passes.how += ", to the output of a linear layer"
        deltas = [(at_output.tasks, at_output.rows(at_output.tasks))] if at_output.tasks else []
    norms = torch.zeros(tasks, dtype=torch.float64)
    for present, delta in deltas:
        if (squares := squared_lengths(layer, delta)) is None:
            return None
        norms[list(present)] = squares.sqrt()
    return norms


def squared_lengths(layer: Linear, deltas: Tensor) -> Tensor | None:
    """Return [tasks] float64 squared lengths of the gradients; None if they are lost in rounding.

    Args:
        layer: with N rows.
        deltas: [tasks, N, out] the tasks' gradients at the layer's output.
    """
    assert layer.inputs is not None
    inputs, delta = at_least_float32(layer.inputs), at_least_float32(deltas)
    products = torch.mm(inputs, inputs.mH)
    if layer.bias is not None:
        products += 1
    parts = torch.bmm(delta, delta.mH).mul_(products)
    parts = parts.real if parts.is_complex() else parts  # what is imaginary cancels
    squares = parts.sum((1, 2), dtype=torch.float64)
    most = parts.diagonal(dim1=1, dim2=2).sqrt().sum(1, dtype=torch.float64).square()
    kept = (squares >= _CANCELLED * most) & (most > SMALLEST) & (most < LARGEST)
    return squares.cpu() if bool(kept.all()) else None
