"""The two consoles: stdout carries what a pipe could use, stderr carries progress, hints and errors."""

from __future__ import annotations

import json
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

from mtctl.text import show_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mtctl.terminal.terminal import Terminal


def out() -> Terminal:
    """Return the console for results."""
    from mtctl.terminal.terminal import Terminal

    return Terminal()


def err() -> Terminal:
    """Return the console for progress, hints and errors."""
    from mtctl.terminal.terminal import Terminal

    return Terminal(stderr=True)


def rendered(*parts: RenderableType, width: int = 100) -> str:
    """Return what a console would print, as plain text.

    Args:
        *parts: one below the other.
        width: in cells.
    """
    from mtctl.terminal.terminal import Terminal

    text = StringIO()
    console = Terminal(file=text, width=width, force_terminal=False, color_system=None)
    console.print(*parts, sep="\n", crop=False)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def redraws(console: Console) -> bool:
    """Say whether a picture can be drawn over: not in a file, nor on a terminal that only adds lines."""
    return console.is_terminal and not console.is_dumb_terminal


def write(document: str) -> None:
    """Write a document to stdout as it is: other programs read it."""
    sys.stdout.write(document)


def write_line(text: str) -> None:
    """Write one line of plain text to stdout, however long."""
    sys.stdout.write(f"{show_text(text)}\n")


def write_json(document: Any) -> None:
    """Write a JSON document to stdout."""
    sys.stdout.write(json_text(document))


def json_text(document: Any) -> str:
    """Return a JSON document in ASCII: it is the same in every encoding, and steers no terminal."""
    return json.dumps(document, indent=2).replace("\x7f", r"\u007f") + "\n"
