"""What comes back through the tasks' heads: gradients of their own parameters, and of what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from mtctl.balancing.gradients.arriving import Arriving, Factored, Stacked
from mtctl.balancing.gradients.layers import parameters_of

Own = dict[int, tuple[Tensor | None, ...]]
"""By task, the gradients of its own parameters; None where its loss does not depend on one."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Gradients above and at the features.

    Args:
        own: by task, the gradients of its own parameters.
        arriving: for each feature, those of the tasks that read it.
        how: in which passes they were found, and why so.
    """

    own: Own
    arriving: tuple[Arriving, ...]
    how: str


def through_heads(
    losses: Mapping[int, Tensor], own: Sequence[Sequence[Tensor]], features: Sequence[Tensor]
) -> Heads:
    """Pass the heads backwards: once all together, if no operation in one is in another too.

    Each task's part is then taken where it enters the features, before the parts are added up. Where all
    heads begin with a linear layer, passes end at the outputs of these layers, and the rest is a few products
    for all heads at once.

    Args:
        losses: a differentiable scalar of each task that is present, by its index.
        own: for each task, the parameters that only it uses.
        features: where heads begin; none: the gradients of own parameters are all that is found.
    """
    if not features:
        return Heads(_grad(losses, own, ())[0], (), "one pass for all heads")
    reading = _reading(losses, features)
    if isinstance(reading, str):
        return _one_by_one(losses, own, features, reading)
    layers = [_layer(entry, reading.again, own[entry.task]) for entry in reading.entries]
    if layers and None not in layers:
        return _through_layers(losses, own, features, [layer for layer in layers if layer is not None])
    return _together(losses, own, features, reading.entries)


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
    """

    entries: list[_Entry]
    again: set[Node]


def _reading(losses: Mapping[int, Tensor], features: Sequence[Tensor]) -> _Reading | str:
    """Return how the heads read the features; or what keeps one pass from telling the heads apart."""
    edges = [get_gradient_edge(feature) for feature in features]
    cut = {edge.node for edge in edges}
    places = {(edge.node, edge.output_nr): place for place, edge in enumerate(edges)}
    owner: dict[Node, int] = {}
    found = _Reading([], set())
    for task, loss in losses.items():
        waiting = [get_gradient_edge(loss).node]
        if waiting[0] in cut:
            return "a loss is a feature itself"
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
        matrix: [in, out] Wᵀ.
        weight: W, if that is a parameter of the task's own and nothing else uses it.
        bias: b, likewise.
    """

    entry: _Entry
    matrix: Tensor
    weight: Tensor | None
    bias: Tensor | None


def _layer(entry: _Entry, again: set[Node], own: Sequence[Tensor]) -> _Layer | None:
    """Return the linear layer that reads a feature [N, in], if that is what reads it."""
    node = entry.node
    operand = {"AddmmBackward0": 1, "MmBackward0": 0}.get(node.name())
    if operand != entry.operand:
        return None
    leaves = {get_gradient_edge(parameter).node: parameter for parameter in own}
    found = parameters_of(node, {leaf: one for leaf, one in leaves.items() if leaf not in again})
    if found is None:
        return None
    alone = not found.nodes & again
    # What a node has saved for its own backward pass is documented under "saved tensors" in torch's notes.
    matrix = node._saved_mat2.detach()
    return _Layer(entry, matrix, found.weight if alone else None, found.bias if alone else None)


def _through_layers(
    losses: Mapping[int, Tensor],
    own: Sequence[Sequence[Tensor]],
    features: Sequence[Tensor],
    layers: Sequence[_Layer],
) -> Heads:
    """Pass all heads together, down to the outputs of the layers that they begin with."""
    begin = {id(one) for layer in layers for one in (layer.weight, layer.bias) if one is not None}
    rest = [[one for one in parameters if id(one) not in begin] for parameters in own]
    of_rest, deltas = _grad(losses, rest, [GradientEdge(layer.entry.node, 0) for layer in layers])
    known = {
        id(one): gradient for task in losses for one, gradient in zip(rest[task], of_rest[task], strict=True)
    }
    arriving = []
    for place, feature in enumerate(features):
        pairs = zip(layers, deltas, strict=True)
        here = [(one, delta) for one, delta in pairs if one.entry.feature == place and delta is not None]
        here.sort(key=lambda pair: pair[0].entry.task)
        side_by_side = torch.cat([delta for _, delta in here], dim=1) if here else torch.zeros(0)
        known |= _of_layers([layer for layer, _ in here], side_by_side, feature)
        arriving.append(_factored([layer for layer, _ in here], side_by_side))
    gradients = {task: tuple(known.get(id(one)) for one in own[task]) for task in losses}
    return Heads(gradients, tuple(arriving), "one pass for all heads, to the layers that read the features")


def _of_layers(layers: Sequence[_Layer], deltas: Tensor, feature: Tensor) -> dict[int, Tensor]:
    """Return the gradients of the layers' parameters, δᵀ·f and Σₙ δₙ, by the parameters' ids.

    Args:
        layers: those that read one feature.
        deltas: [N, Σ out] the gradients at their outputs, side by side.
        feature: [N, in].
    """
    if not layers:
        return {}
    widths = [layer.matrix.shape[1] for layer in layers]
    weights = torch.mm(deltas.t(), feature.detach().to(deltas)).split(widths)
    biases = deltas.sum(0).split(widths)
    found = {
        id(one.weight): part for one, part in zip(layers, weights, strict=True) if one.weight is not None
    }
    return found | {
        id(one.bias): part for one, part in zip(layers, biases, strict=True) if one.bias is not None
    }


def _factored(layers: Sequence[_Layer], deltas: Tensor) -> Arriving:
    widths: dict[int, int] = {}
    for layer in layers:
        widths[layer.entry.task] = widths.get(layer.entry.task, 0) + layer.matrix.shape[1]
    if not layers:
        return Stacked((), torch.zeros(0))
    matrices = torch.cat([layer.matrix for layer in layers], dim=1)
    return Factored(tuple(widths), tuple(widths.values()), deltas, matrices)


def _together(
    losses: Mapping[int, Tensor],
    own: Sequence[Sequence[Tensor]],
    features: Sequence[Tensor],
    entries: Sequence[_Entry],
) -> Heads:
    """Pass all heads together; what goes into a feature is noted at the operations that read it."""
    at: list[dict[int, Tensor]] = [{} for _ in features]
    reading: dict[Node, list[_Entry]] = {}
    for entry in entries:
        reading.setdefault(entry.node, []).append(entry)

    def note(here: Sequence[_Entry]) -> Callable[[Sequence[Tensor | None], object], None]:
        def hook(gradients: Sequence[Tensor | None], _: object) -> None:
            for entry in here:
                part, parts = gradients[entry.operand], at[entry.feature]
                if part is not None:
                    parts[entry.task] = parts[entry.task] + part if entry.task in parts else part

        return hook

    handles = [node.register_hook(note(here)) for node, here in reading.items()]
    try:
        gradients, _ = _grad(losses, own, features)
    finally:
        for handle in handles:
            handle.remove()
    return Heads(gradients, _in_order(losses, at), "one pass for all heads")


def _grad(
    losses: Mapping[int, Tensor], own: Sequence[Sequence[Tensor]], ends: Sequence[Tensor | GradientEdge]
) -> tuple[Own, tuple[Tensor | None, ...]]:
    """Return the gradients of all losses on their own parameters and, added up, on where the heads end."""
    wanted = [parameter for task in losses for parameter in own[task]]
    if not wanted and not ends:
        return dict.fromkeys(losses, ()), ()
    found = torch.autograd.grad(
        list(losses.values()),
        [*wanted, *ends],  # type: ignore[arg-type]  # tensors and edges may be mixed, which torch does not declare
        retain_graph=True,
        allow_unused=True,
    )
    gradients = iter(found)
    return {task: tuple(next(gradients) for _ in own[task]) for task in losses}, found[len(wanted) :]


def _one_by_one(
    losses: Mapping[int, Tensor], own: Sequence[Sequence[Tensor]], features: Sequence[Tensor], reason: str
) -> Heads:
    gradients: Own = {}
    at: list[dict[int, Tensor]] = [{} for _ in features]
    for task, loss in losses.items():
        alone, found = _grad({task: loss}, own, features)
        gradients |= alone
        for by_task, gradient in zip(at, found, strict=True):
            if gradient is not None:
                by_task[task] = gradient
    return Heads(gradients, _in_order(losses, at), f"one pass per head: {reason}")


def _in_order(tasks: Iterable[int], at: Sequence[Mapping[int, Tensor]]) -> tuple[Stacked, ...]:
    """Return what arrives, in the tasks' order: parts come in that of the backward pass."""
    found = []
    for by_task in at:
        present = tuple(task for task in tasks if task in by_task)
        values = [by_task[task] for task in present]
        found.append(Stacked(present, torch.stack(values) if values else torch.zeros(0)))
    return tuple(found)
