"""Text of docstrings and schemas as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`]*`)")
_SPECIAL = re.compile(r"([\\*_<\[\]|])")

_SESSION = re.compile(r"^>>> .*(?:\n(?! *$).+)*", re.MULTILINE)
_DOCTEST = re.compile(r" *# doctest: \S+")


def prose(text: str) -> str:
    """Return text as Markdown that shows it as it is; what stands between backticks stays code."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if place % 2 else _SPECIAL.sub(r"\\\1", part) for place, part in enumerate(parts))


def code(text: str) -> str:
    """Return text as code within a line, or within a cell of a table."""
    return f"`{text}`" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def keys(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of names with what they mean, which a narrow screen shows as paragraphs."""
    return f'<div class="keys" markdown>\n\n{table(head, rows)}\n\n</div>'


def fenced(lines: Iterable[str], language: str = "text") -> str:
    """Return a block of code."""
    return "\n".join((f"```{language}", *lines, "```"))


def sessions(docstring: str) -> str:
    """Return a docstring whose Python sessions, `>>> …`, are blocks of code."""
    return _SESSION.sub(lambda found: f"```pycon\n{_DOCTEST.sub('', found[0])}\n```", docstring)


def page(*blocks: str) -> str:
    """Return blocks as a page; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block) + "\n"
