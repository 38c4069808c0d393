"""A recipe's values together with the places they were written at."""

from __future__ import annotations

from collections.abc import Mapping as Entries
from dataclasses import dataclass

from mtctl.part import KeyPath
from mtctl.yaml.sources import Place

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""What a node is once its places are left out: JSON's types."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value and how it was written."""

    value: bool | int | float | str | None
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a mapping and the place of its key."""

    place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Values by key."""

    entries: Entries[str, Entry]
    place: Place

    def text(self, key: str) -> str | None:
        """Return what is written at `key`, where that is a piece of text."""
        entry = self.entries.get(key)
        if entry is None or not isinstance(entry.node, Scalar) or not isinstance(entry.node.value, str):
            return None
        return entry.node.value


Node = Scalar | Sequence | Mapping


def plain(node: Node) -> Plain:
    """Return the values without their places."""
    if isinstance(node, Mapping):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def child(node: Node, step: str | int) -> Entry | None:
    """Return what stands at a key or an index, if anything does."""
    if isinstance(node, Mapping):
        return node.entries.get(str(step))
    if isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
        return Entry(node.items[step].place, node.items[step])
    return None


def follow(root: Node, path: KeyPath) -> Entry:
    """Return what stands at the end of `path`, or the last thing on the way there that exists."""
    entry = Entry(root.place, root)
    for step in path:
        below = child(entry.node, step)
        if below is None:
            break
        entry = below
    return entry
