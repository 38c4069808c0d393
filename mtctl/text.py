"""Text from files, arguments and folders as any terminal can take it."""

from __future__ import annotations

import re

#: Where a line begins that is not indented: it came with somebody's text, because messages indent theirs.
_FOREIGN_LINE = re.compile(r"\n(?=[^ ]|$)")


def show_text(text: str) -> str:
    """Return text on one line: what would steer a terminal, or nobody would see, is spelled out.

    These are control characters, new lines, marks of direction, and bytes of a name that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_lines(text: str) -> str:
    r"""Return a message in which lines after the first are indented; any other new line is spelled out.

    A folder may be called "x\nerror: y": its name must not look like a message of its own.
    """
    own = _FOREIGN_LINE.sub(lambda _: r"\n", text)
    return "\n".join(map(show_text, own.split("\n")))
