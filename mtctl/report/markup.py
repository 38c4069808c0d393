"""HTML in which text cannot be mistaken for markup: everything is escaped unless it was made here."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any, Final

_VOID: Final = frozenset({"meta", "wbr"})
_SEEN: Final = frozenset("\n\u2007")
"""What Python counts as not printable and yet belongs to text: new lines, and spaces as wide as a digit."""
_UNSAFE: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
"""What could end a script element or begin a comment in it, as JSON spells it."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Markup | None | Iterable["Child"]


def element(name: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: escaped unless they are `Markup`; None is nothing.
        attributes: `class_` is written class, `aria_label` aria-label. True is an attribute without a value;
            False and None leave it out.
    """
    written = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    begin = f"<{name}{written}>"
    return Markup(begin if name in _VOID else f"{begin}{join(children)}</{name}>")


def join(children: Child) -> Markup:
    """Return children one after the other."""
    match children:
        case None:
            return Markup()
        case Markup():
            return children
        case str():
            return Markup(escape(children))
        case _:
            return Markup("".join(map(join, children)))


def escape(text: str) -> str:
    """Return text for an element or an attribute; characters that nobody would see are spelled out."""
    return html.escape("".join(c if c.isprintable() or c in _SEEN else _spelled(c) for c in text))


def raw(text: str) -> Markup:
    """Return text of mtctl's own files as it is: style sheets and scripts."""
    return Markup(text)


def data(name: str, value: Any) -> Markup:
    """Return a JSON document that a page carries, in an element of that id.

    Whatever its strings hold, none of them can end the element: `<`, `>` and `&` are spelled out, and so is
    everything beyond ASCII.

    Raises:
        ValueError: a number is not finite, which JSON has no word for.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_UNSAFE)
    return Markup(f'<script type="application/json" id="{escape(name)}">{text}</script>')


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()
