"""What may stand at each place of a recipe, read off the models' annotations.

A *tagged union* is a place where `kind` selects one of several parts, each with keys of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mtctl.part import KeyPath, Part
from mtctl.yaml.nodes import Mapping, Node, Sequence, child

Shape = Any
"""An annotation: a part, a union, `tuple[X, ...]`, `dict[str, X]`, a literal or a plain type."""


def parts(shape: Shape) -> list[type[Part]]:
    """Return the parts that a mapping may be here: several in a tagged union, none where it is free."""
    return [one for one in _alternatives(shape) if isinstance(one, type) and issubclass(one, Part)]


def kinds(shape: Shape) -> dict[str, type[Part]]:
    """Return the parts by the `kind` that selects them."""
    return {
        kind: part
        for part in parts(shape)
        if "kind" in part.model_fields
        for kind in literals(part.model_fields["kind"].annotation)
    }


def part(shape: Shape, node: Node) -> type[Part] | None:
    """Return the part that a mapping is read as: the only one, or the one that its `kind` selects.

    Where `kind` is left out, it is the first that has its own kind as default.
    """
    known = parts(shape)
    if len(known) == 1:
        return known[0]
    if not isinstance(node, Mapping):
        return None
    by_kind = kinds(shape)
    if "kind" not in node.entries:
        return next((one for kind, one in by_kind.items() if one.model_fields["kind"].default == kind), None)
    return by_kind.get(node.text("kind") or "")


def literals(shape: Shape) -> tuple[str, ...]:
    """Return the words that are allowed here, where a list of words decides."""
    return tuple(
        str(word) for one in _alternatives(shape) if _origin(one) is Literal for word in get_args(one)
    )


def inside(shape: Shape, node: Node, step: str | int) -> Shape:
    """Return what may stand at one key or index of `node`; None where nothing may."""
    if isinstance(node, Sequence):
        return next((get_args(one)[0] for one in _alternatives(shape) if _origin(one) in (tuple, list)), None)
    known = part(shape, node)
    if known is not None:
        field = known.model_fields.get(str(step))
        return None if field is None else field.annotation
    return next((get_args(one)[1] for one in _alternatives(shape) if _origin(one) is dict), None)


def walk(shape: Shape, node: Node, location: tuple[str | int, ...]) -> tuple[KeyPath, Shape, Shape]:
    """Return the path of an error, the shape of what holds that place, and the shape of what may be there.

    Pydantic locates `balancer.alpha` at ("balancer", "one", "gradnorm", "alpha"): one tag for "a method or a
    chain of them", one for the method. A key can be called like a tag, so tags are counted, not guessed.
    """
    path: list[str | int] = []
    holder: Shape = None
    rest = list(location)
    while rest:
        del rest[: _tags(shape, node)]
        if not rest:
            break
        step = rest.pop(0)
        path.append(step)
        holder, shape = shape, inside(shape, node, step)
        below = child(node, step)
        if below is None:
            break
        node = below.node
    return tuple(path), holder, shape


def _tags(shape: Shape, node: Node) -> int:
    several = len(parts(shape)) > 1
    or_list = any(_origin(one) is tuple for one in _alternatives(shape)) and bool(parts(shape))
    return or_list + (several and not isinstance(node, Sequence))


def _alternatives(shape: Shape) -> Iterator[Shape]:
    origin = _origin(shape)
    if origin is Annotated:
        yield from _alternatives(get_args(shape)[0])
    elif origin in (Union, UnionType):
        for one in get_args(shape):
            yield from _alternatives(one)
    else:
        yield shape


def _origin(shape: Shape) -> Any:
    return get_origin(shape)
