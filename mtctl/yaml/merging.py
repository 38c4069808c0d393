"""A child recipe laid over its parent, and an override over both."""

from __future__ import annotations

from mtctl.yaml import shapes
from mtctl.yaml.nodes import Entry, Mapping, Node
from mtctl.yaml.shapes import Shape


def merge(parent: Node, child: Node, shape: Shape) -> Node:
    """Return `child` laid over `parent`: mappings key by key, everything else replaced.

    Where `kind` selects another part than before, the parent's mapping is replaced too: its keys belong to
    the part that is gone.
    """
    if not isinstance(parent, Mapping) or not isinstance(child, Mapping):
        return child
    if "kind" in child.entries and len(shapes.parts(shape)) > 1:
        before, after = shapes.part(shape, parent), shapes.part(shape, child)
        if after is None or before is not after:
            return child
    kind = child if "kind" in child.entries else parent
    below = {key: shapes.inside(shape, kind, key) for key in child.entries}
    merged = dict(parent.entries)
    for key, entry in child.entries.items():
        old = merged.get(key)
        node = entry.node if old is None else merge(old.node, entry.node, below[key])
        merged[key] = Entry(entry.place, node)
    return Mapping(merged, child.place)
