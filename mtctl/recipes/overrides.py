"""`-o key.path=value`: one value of a recipe, changed on the command line.

A part that is chosen by its kind may be named by it: `balancer=uncertainty`.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Arguments
from dataclasses import dataclass

from mtctl.yaml import shapes
from mtctl.yaml.merging import merge
from mtctl.yaml.mistakes import Mistake, Unreadable, shortened
from mtctl.yaml.nodes import Entry, Mapping, Node, Scalar, Sequence
from mtctl.yaml.shapes import Shape
from mtctl.yaml.sources import Place, Source
from mtctl.yaml.syntax import DEEPEST, TOO_DEEP, parse

_OPTION = "-o "


_Keys = tuple[tuple[str, Place], ...]


@dataclass(frozen=True, slots=True)
class _Override:
    keys: _Keys
    value: Node


def override(root: Node, arguments: Arguments[str], shape: Shape, mistakes: list[Mistake]) -> Node:
    """Return the tree with `key.path=value` arguments laid over it, each like a child recipe of one value.

    Outer keys come before inner ones and `kind` before its neighbours, so that the order of the arguments
    means nothing, except that the last of several for one key wins.
    """
    found = [one for argument in arguments for one in _parse(argument, mistakes)]
    for one in sorted(found, key=lambda one: (len(one.keys), one.keys[-1][0] != "kind")):
        try:
            root = _assign(root, one.keys, one.value, shape)
        except Unreadable as error:
            mistakes.append(error.mistake)
    return root


def _parse(argument: str, mistakes: list[Mistake]) -> Iterator[_Override]:
    source = Source("-o", _OPTION + argument, argument=True)
    dotted, equals, _ = argument.partition("=")
    keys: list[tuple[str, Place]] = []
    column = len(_OPTION)
    for key in dotted.split("."):
        keys.append((key, Place(source, 0, column, max(1, len(key)))))
        column += len(key) + 1
    if not equals or not all(key.strip() for key, _ in keys):
        place = Place(source, 0, len(_OPTION), max(1, len(argument)))
        mistakes.append(
            Mistake(place, f"`{shortened(argument)}` is not an override", "write `key.path=value`")
        )
        return
    if len(keys) > DEEPEST:
        mistakes.append(Mistake(keys[DEEPEST][1], TOO_DEEP))
        return
    try:
        value = parse(source, mistakes, skip=column)
    except Unreadable as error:
        mistakes.append(error.mistake)
        return
    yield from _with_parts(tuple(keys), value or Scalar(None, "", Place(source, 0, column)))


def _with_parts(keys: _Keys, value: Node) -> Iterator[_Override]:
    """Yield `a={b: 1}` and then `a.b=1`: so `b` also holds where another argument selects a's `kind`."""
    yield _Override(keys, value)
    if isinstance(value, Mapping):
        for key, entry in value.entries.items():
            yield from _with_parts((*keys, (key, entry.place)), entry.node)


def _assign(node: Node | None, keys: _Keys, value: Node, shape: Shape) -> Node:
    if not keys:
        value = _in_full(value, shape)
        return value if node is None else merge(node, value, shape)
    (key, place), rest = keys[0], keys[1:]
    if isinstance(node, Sequence):
        index = _index(node, key, place)
        items = list(node.items)
        items[index] = _assign(items[index], rest, value, shapes.inside(shape, node, index))
        return Sequence(tuple(items), node.place)
    if isinstance(node, Scalar) and node.value is not None:
        note = "its value has no keys: leave out the rest"
        raise Unreadable(
            Mistake(place, f"there is no `{shortened(key)}` inside `{shortened(node.text)}`", note)
        )
    mapping = node if isinstance(node, Mapping) else Mapping({}, place)
    old = mapping.entries.get(key)
    inner = _assign(None if old is None else old.node, rest, value, shapes.inside(shape, mapping, key))
    if key == "kind":
        return merge(mapping, Mapping({key: Entry(place, inner)}, mapping.place), shape)
    stays = old is not None and bool(rest)  # something inside it changes, it is still where the file has it
    entry = Entry(old.place if old is not None and stays else place, inner)
    return Mapping({**mapping.entries, key: entry}, mapping.place)


def _in_full(value: Node, shape: Shape) -> Node:
    """Return `uncertainty` as `{kind: uncertainty}` where a kind is chosen."""
    if isinstance(value, Scalar) and value.text in shapes.kinds(shape):
        return Mapping({"kind": Entry(value.place, value)}, value.place)
    return value


def _index(node: Sequence, key: str, place: Place) -> int:
    count = len(node.items)
    if not key.isascii() or not key.isdecimal() or int(key[:9]) >= count:
        note = f"its entries are 0 to {count - 1}" if count else "it is empty"
        raise Unreadable(Mistake(place, f"a list of {count} has no entry `{shortened(key)}`", note))
    return int(key[:9])
