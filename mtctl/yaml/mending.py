"""A tree with its slips of the pen mended, to look for problems that the slips would hide."""

from __future__ import annotations

from collections.abc import Mapping as Words
from dataclasses import dataclass, field

from mtctl.part import KeyPath
from mtctl.yaml.nodes import Entry, Mapping, Node, Scalar, Sequence


@dataclass(slots=True)
class Guesses:
    """What was probably meant.

    Attributes:
        keys: unknown keys by path: the key that was meant, or None for one that means nothing.
        words: values by path: the word that was meant.
    """

    keys: dict[KeyPath, str | None] = field(default_factory=dict)
    words: dict[KeyPath, str] = field(default_factory=dict)


def mended(node: Node, guesses: Guesses, path: KeyPath = ()) -> Node:
    """Return the tree with every guess in place. All else stays, wrong or not, at the places where it is."""
    if isinstance(node, Scalar):
        word = guesses.words.get(path)
        return node if word is None else Scalar(word, word, node.place)
    if isinstance(node, Sequence):
        items = (mended(item, guesses, (*path, index)) for index, item in enumerate(node.items))
        return Sequence(tuple(items), node.place)
    entries: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        meant = _meant(key, (*path, key), guesses.keys, node.entries)
        if meant is not None:
            entries[meant] = Entry(entry.place, mended(entry.node, guesses, (*path, key)))
    return Mapping(entries, node.place)


def _meant(
    key: str, path: KeyPath, guesses: Words[KeyPath, str | None], beside: Words[str, Entry]
) -> str | None:
    guess = guesses.get(path, key)
    return None if guess != key and guess in beside else guess
