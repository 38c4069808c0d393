"""What comes back through the tasks' heads: gradients of their own parameters, and of what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from mtctl.balancing.gradients.arriving import Arriving, Factored
from mtctl.balancing.gradients.backward import Place, gradients_at
from mtctl.balancing.gradients.gathered import Gathered, added
from mtctl.balancing.gradients.graph import nested
from mtctl.balancing.gradients.layers import Linear, linear

Own = dict[Tensor, Tensor]
"""The gradients of the tasks' own parameters; without those that a task's loss does not depend on."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Gradients above and at the features.

    Args:
        own: the gradients of the tasks' own parameters.
        arriving: for each feature, those of the tasks that read it.
        how: in which passes they were found, and why so.
    """

    own: Own
    arriving: tuple[Arriving, ...]
    how: str


def through_heads(
    losses: Mapping[int, Tensor],
    own: Sequence[Sequence[Tensor]],
    features: Sequence[Place],
    *,
    retain: bool = True,
) -> Heads:
    """Pass the heads backwards: once all together, if no operation in one is in another too.

    Each task's part is then taken where it enters the features, before the parts are added up. Where all
    heads begin with a linear layer, passes end at the outputs of these layers, and the rest is a few products
    for all heads at once.

    Args:
        losses: a differentiable scalar of each task that is present, by its index.
        own: for each task, the parameters that only it uses.
        features: where heads begin, tensors or edges of their graph; none: the gradients of own parameters
            are all that is found. Heads end at the first of them on their way: a feature may be computed from
            another one that other tasks read.
        retain: whether to keep the heads' graph for further passes.
    """
    if not features:
        return Heads(_grad(losses, own, (), retain)[0], (), "one pass for all heads")
    edges = [one if isinstance(one, GradientEdge) else get_gradient_edge(one) for one in features]
    reading = _reading(losses, edges)
    if isinstance(reading, str):
        # What one head's pass frees, another's would need.
        return _one_by_one(losses, own, edges, reading, True)
    layers = [_layer(entry, reading.again, own[entry.task]) for entry in reading.entries]
    if layers and None not in layers and not reading.themselves:
        found = [layer for layer in layers if layer is not None]
        return _through_layers(losses, own, len(edges), found, retain)
    if reading.themselves:
        return _one_by_one(losses, own, edges, "a loss is a feature itself", retain)
    if nested(edges):
        return _one_by_one(losses, own, edges, "a feature is computed from another", retain)
    gradients, at = _together(losses, own, edges, reading.entries, retain)
    return Heads(gradients, _in_order(losses, edges, at), "one pass for all heads")


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a head reads a feature.

    Args:
        node: the operation that reads it.
        operand: which of its operands the feature is.
        task: whose head it is in.
        feature: which one is read.
    """

    node: Any
    operand: int
    task: int
    feature: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """How heads read the features.

    Args:
        entries: where.
        again: nodes in the heads that are reached by more than one way.
        themselves: the tasks whose loss is a feature itself, with its place.
    """

    entries: list[_Entry]
    again: set[Node]
    themselves: dict[int, int]


def _reading(losses: Mapping[int, Tensor], edges: Sequence[GradientEdge]) -> _Reading | str:
    """Return how the heads read the features; or what keeps one pass from telling the heads apart."""
    cut = {edge.node for edge in edges}
    places = {(edge.node, edge.output_nr): place for place, edge in enumerate(edges)}
    owner: dict[Node, int] = {}
    found = _Reading([], set(), {})
    for task, loss in losses.items():
        root = get_gradient_edge(loss)
        if (root.node, root.output_nr) in places:
            found.themselves[task] = places[root.node, root.output_nr]
            continue
        waiting = [root.node]
        while waiting:
            node = waiting.pop()
            if node in owner:
                if owner[node] != task:
                    return f"{node.name()} is in the heads of two tasks"
                found.again.add(node)
                continue
            owner[node] = task
            for operand, (child, output) in enumerate(node.next_functions):
                if child in cut:
                    if (child, output) in places:
                        found.entries.append(_Entry(node, operand, task, places[child, output]))
                elif child is not None:
                    waiting.append(child)
    return found


@dataclass(frozen=True, slots=True)
class _Layer:
    """A linear layer y = f·Wᵀ + b that a head begins with.

    Args:
        entry: where it reads the feature f.
        matrix: [in, out] Wᴴ: what the gradient at y is multiplied with on its way to f.
        linear: with W and b where they are parameters of the task's own that nothing else uses.
    """

    entry: _Entry
    matrix: Tensor
    linear: Linear


def _layer(entry: _Entry, again: set[Node], own: Sequence[Tensor]) -> _Layer | None:
    """Return the linear layer that reads a feature [N, in], if that is what reads it."""
    node = entry.node
    operand = {"AddmmBackward0": 1, "MmBackward0": 0}.get(node.name())
    if operand != entry.operand:
        return None
    leaves = {end: one for one in own if (end := get_gradient_edge(one).node) not in again}
    found = linear(node, leaves)
    if found is not None and found.nodes & again:
        found = linear(node, {})
    return None if found is None else _Layer(entry, node._saved_mat2.detach().conj(), found)


def _through_layers(
    losses: Mapping[int, Tensor],
    own: Sequence[Sequence[Tensor]],
    features: int,
    layers: Sequence[_Layer],
    retain: bool,
) -> Heads:
    """Pass all heads together, down to the outputs of the layers that they begin with."""
    begin = {one for layer in layers for one in (layer.linear.weight, layer.linear.bias) if one is not None}
    rest = [[one for one in parameters if one not in begin] for parameters in own]
    gradients, deltas = _grad(losses, rest, [layer.linear.output for layer in layers], retain)
    arriving = []
    for place in range(features):
        pairs = zip(layers, deltas, strict=True)
        here = [(one, delta) for one, delta in pairs if one.entry.feature == place and delta is not None]
        here.sort(key=lambda pair: pair[0].entry.task)
        side_by_side = torch.cat([delta for _, delta in here], dim=1) if here else torch.zeros(0)
        gradients |= _of_layers([layer for layer, _ in here], side_by_side)
        arriving.append(_factored([layer for layer, _ in here], side_by_side))
    return Heads(gradients, tuple(arriving), "one pass for all heads, to the layers that read the features")


def _of_layers(layers: Sequence[_Layer], deltas: Tensor) -> Own:
    """Return the gradients of the layers' parameters, δᵀ·f̄ and Σₙ δₙ.

    Args:
        layers: those that read one feature.
        deltas: [N, Σ out] the gradients at their outputs, side by side.
    """
    if not layers:
        return {}
    widths = [layer.matrix.shape[1] for layer in layers]
    uses = [layer.linear for layer in layers]
    inputs = next((one.inputs for one in uses if one.inputs is not None), None)
    found = {}
    if inputs is not None:
        weights = torch.mm(deltas.t(), inputs.to(deltas)).split(widths)
        found = {one.weight: part for one, part in zip(uses, weights, strict=True) if one.weight is not None}
    biases = zip(uses, deltas.sum(0).split(widths), strict=True)
    return found | {one.bias: part for one, part in biases if one.bias is not None}


def _factored(layers: Sequence[_Layer], deltas: Tensor) -> Arriving:
    widths: dict[int, int] = {}
    for layer in layers:
        widths[layer.entry.task] = widths.get(layer.entry.task, 0) + layer.matrix.shape[1]
    if not layers:
        return Gathered(0)
    matrices = torch.cat([layer.matrix for layer in layers], dim=1)
    return Factored(tuple(widths), tuple(widths.values()), deltas, matrices)


def _together(
    losses: Mapping[int, Tensor],
    own: Sequence[Sequence[Tensor]],
    edges: Sequence[GradientEdge],
    entries: Sequence[_Entry],
    retain: bool,
) -> tuple[Own, list[dict[int, Tensor]]]:
    """Pass heads together; what goes into a feature, by task, is noted at the operations that read it.

    There, hooks on the feature itself have not been called yet: they are for the pass that starts from it.
    """
    at: list[dict[int, Tensor]] = [{} for _ in edges]
    reading: dict[Node, list[_Entry]] = {}
    for entry in entries:
        reading.setdefault(entry.node, []).append(entry)

    def note(here: Sequence[_Entry]) -> Callable[[Sequence[Tensor | None], object], None]:
        def hook(gradients: Sequence[Tensor | None], _: object) -> None:
            for entry in here:
                part, parts = gradients[entry.operand], at[entry.feature]
                if part is not None:
                    parts[entry.task] = added(parts[entry.task], part) if entry.task in parts else part

        return hook

    handles = [node.register_hook(note(here)) for node, here in reading.items()]
    read = dict.fromkeys(entry.feature for entry in entries)
    try:
        gradients, _ = _grad(losses, own, [edges[place] for place in read], retain)
    finally:
        for handle in handles:
            handle.remove()
    return gradients, at


def _grad(
    losses: Mapping[int, Tensor],
    own: Sequence[Sequence[Tensor]],
    ends: Sequence[GradientEdge],
    retain: bool,
) -> tuple[Own, tuple[Tensor | None, ...]]:
    """Return the gradients of all losses on their own parameters and, added up, on where the heads end."""
    wanted = [parameter for task in losses for parameter in own[task]]
    found = gradients_at([*wanted, *ends], list(losses.values()), retain=retain)
    gradients = {one: part for one, part in zip(wanted, found, strict=False) if part is not None}
    return gradients, found[len(wanted) :]


def _one_by_one(
    losses: Mapping[int, Tensor],
    own: Sequence[Sequence[Tensor]],
    edges: Sequence[GradientEdge],
    reason: str,
    retain: bool,
) -> Heads:
    """Pass each head by itself, down to the features that it reads."""
    gradients: Own = {}
    at: list[dict[int, Tensor]] = [{} for _ in edges]
    for task, loss in losses.items():
        reading = _reading({task: loss}, edges)
        assert not isinstance(reading, str)  # one head has no other to be mixed up with
        alone, here = _together({task: loss}, own, edges, reading.entries, retain)
        gradients |= alone
        for parts, found in zip(at, here, strict=True):
            parts.update(found)
        if task in reading.themselves:
            at[reading.themselves[task]][task] = torch.ones_like(loss)
    return Heads(gradients, _in_order(losses, edges, at), f"one pass per head: {reason}")


def _in_order(
    tasks: Iterable[int], edges: Sequence[GradientEdge], at: Sequence[Mapping[int, Tensor]]
) -> tuple[Arriving, ...]:
    """Return what arrives, in the tasks' order: parts come in that of the backward pass."""
    found = [Gathered(len(by_task)) for by_task in at]
    for edge, gathered, by_task in zip(edges, found, at, strict=True):
        at_parameter = not edge.node.next_functions  # an embedding's gradient may be sparse
        for task in tasks:
            if task in by_task:
                gathered.add(task, by_task[task] if at_parameter else by_task[task].to_dense())
    return tuple(found)
