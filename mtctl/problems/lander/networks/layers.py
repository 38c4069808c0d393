"""Where the numbers of a Q-network lie in its flat rows, and what layers do with a batch grouped by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

Layer = tuple[Tensor, Tensor]

EPSILON: Final = 1e-5
"""What a layer normalisation adds to the variance, as torch's own does."""
NARROW: Final = 16
"""Units below which a product takes several times as long as the same product transposed."""


def affine(layer: Layer, inputs: Tensor, out: Tensor) -> None:
    """Write x·W + b into `out` [N, units], for x [N, inputs], W [inputs, units], b [units] or [N, units]."""
    weight, bias = layer
    if weight.shape[1] < NARROW:
        weight = weight.t().contiguous().t()
    torch.addmm(bias, inputs, weight, out=out)


class Views(NamedTuple):
    """Parts of R flat rows, each a view.

    Args:
        layers: weights [R, in, out] and biases [R, out] of the hidden layers, then of the output: the
            actions' values, or with two streams their advantages.
        norms: gains and shifts [R, out] of the hidden layers; empty without layer normalisation.
        value: weights [R, in, 1] and biases [R, 1] of the value stream, if there are two.
    """

    layers: list[Layer]
    norms: list[Layer]
    value: Layer | None


class Layout:
    """The order of a network's numbers: of each layer weights, biases, gains and shifts; the value's last.

    Args:
        sizes: inputs, hidden units, actions. With two streams the last hidden layer has as many units for
            each.
        normalised: whether hidden layers are normalised.
        dueling: whether there are two streams.

    Attributes:
        shapes: (inputs, outputs) of the layers, the actions' last.
        units: outputs of the layers, as they are computed.
        size: of a row.
        last_shared: where the last hidden layer's weights lie in a row: GradNorm's layer.
    """

    def __init__(self, sizes: Sequence[int], *, normalised: bool, dueling: bool) -> None:
        *hidden, actions = sizes[1:]
        streams = 2 if dueling else 1
        outputs = [*hidden[:-1], streams * hidden[-1], actions]
        inputs = [sizes[0], *hidden]
        self.shapes = list(zip(inputs, outputs, strict=True))
        self.units = outputs
        self._normalised = normalised
        self._value = (hidden[-1], 1) if dueling else None
        per_unit = 3 if normalised else 1
        starts = [0]
        for rows, units in self.shapes[:-1]:
            starts.append(starts[-1] + units * (rows + per_unit))
        self._starts = starts
        rows, units = self.shapes[-2]
        self.last_shared = slice(starts[-2], starts[-2] + rows * units)
        self._head_end = starts[-1] + actions * (hidden[-1] + 1)
        self.size = self._head_end + (hidden[-1] + 1 if dueling else 0)

    def views(self, flat: Tensor) -> Views:
        """Return the parts of rows [R, size]."""
        layers = [_layer(flat, start, shape) for start, shape in zip(self._starts, self.shapes, strict=True)]
        norms = []
        if self._normalised:
            for start, (rows, units) in zip(self._starts[:-1], self.shapes[:-1], strict=True):
                first = start + units * (rows + 1)
                norms.append((flat[:, first : first + units], flat[:, first + units : first + 2 * units]))
        value = None if self._value is None else _layer(flat, self._head_end, self._value)
        return Views(layers, norms, value)


def _layer(flat: Tensor, start: int, shape: tuple[int, int]) -> Layer:
    rows, units = shape
    middle, end = start + rows * units, start + rows * units + units
    return flat[:, start:middle].unflatten(1, shape), flat[:, middle:end]


def present(counts: tuple[int, ...]) -> tuple[slice, tuple[int, int]]:
    """Return the span of tasks that have rows, and how to group the rows: (tasks, rows of each)."""
    found = [task for task, count in enumerate(counts) if count]
    return slice(found[0], found[-1] + 1), (len(found), counts[found[0]])


def per_task_products(
    inputs: Tensor, delta: Tensor, counts: tuple[int, ...], weight_block: Tensor, bias_block: Tensor
) -> None:
    """Write hᵢᵀ·δᵢ into weight_block [T, in, out], Σ δᵢ into bias_block [T, out]; 0 for absent tasks."""
    if min(counts) == max(counts):
        groups = (len(counts), counts[0])
        grouped, grouped_inputs = delta.unflatten(0, groups), inputs.unflatten(0, groups)
        if delta.shape[1] < NARROW:
            weight_block.copy_(torch.bmm(grouped.transpose(1, 2), grouped_inputs).transpose(1, 2))
        else:
            torch.bmm(grouped_inputs.transpose(1, 2), grouped, out=weight_block)
        torch.sum(grouped, 1, out=bias_block)
        return
    own = zip(weight_block.unbind(0), inputs.split(counts), delta.split(counts), strict=True)
    for block, task_inputs, task_delta in own:
        torch.mm(task_inputs.t(), task_delta, out=block)
    _uneven_sums(delta, counts, bias_block)


def per_task_sums(values: Tensor, counts: tuple[int, ...], block: Tensor) -> None:
    """Write each task's sum of the rows [N, out] into block [T, out]; 0 for absent tasks."""
    if min(counts) == max(counts):
        torch.sum(values.unflatten(0, (len(counts), counts[0])), 1, out=block)
    else:
        _uneven_sums(values, counts, block)


def _uneven_sums(values: Tensor, counts: tuple[int, ...], block: Tensor) -> None:
    membership = torch.eye(len(counts)).repeat_interleave(
        torch.tensor(counts), dim=1, output_size=len(values)
    )
    torch.mm(membership, values, out=block)


class Normalised(NamedTuple):
    """A layer normalisation (Ba et al., 2016, arXiv 1607.06450) of rows z: n = (z − mean)/√(variance + ε).

    Args:
        rows: [N, units] n.
        scale: [N, 1] 1/√(variance + ε).
    """

    rows: Tensor
    scale: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Normalised:
        """Normalise each row of [N, units]."""
        normal, _, scale = torch.native_layer_norm(rows, rows.shape[-1:], None, None, EPSILON)
        return cls(normal, scale)

    def before(self, slopes: Tensor, out: Tensor) -> None:
        """Write ∂L/∂z into `out`: scale·(δ − mean(δ) − n·mean(δ∘n)), means over a row.

        Args:
            slopes: [N, units] δ = ∂L/∂n.
            out: [N, units]; may be `slopes`.
        """
        along = (slopes * self.rows).mean(1, keepdim=True)
        torch.sub(slopes, slopes.mean(1, keepdim=True), out=out)
        out.addcmul_(self.rows, along, value=-1.0).mul_(self.scale)
