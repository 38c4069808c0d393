"""Sentences on a screen: under a heading, behind a mark, folded between words; commands in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from mtctl.screens.tables import fold
from mtctl.text import show_text

_NARROWEST = 20
"""Cells that a line of text has at least, however narrow the screen is."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence or paragraph; where it is folded, lines after the first begin under its first word.

    Args:
        text: what it says; characters that would steer a terminal are spelled out.
        mark: in front of it, e.g. "✔".
        style: of the mark.
        indent: cells on the left.
        tone: the text's own style, e.g. "dim".
    """

    text: str
    mark: str = ""
    style: str = ""
    indent: int = 0
    tone: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Fold the text for the width at hand."""
        edge = f"{self.mark} " if self.mark else ""
        width = max(_NARROWEST, options.max_width - self.indent - len(edge))
        for number, line in enumerate(fold(show_text(self.text), width).split("\n")):
            before = edge if number == 0 else " " * len(edge)
            yield Text.assemble(" " * self.indent, (before, self.style), (line, self.tone))


def heading(text: str) -> Text:
    """Return the line above a section."""
    return Text(text, style="bold")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that can be copied: it runs over the edge of a narrow screen, unbroken.

    Args:
        text: what is to be typed.
    """

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Write it as it is; the options of a single text on its way to the console would be lost."""
        yield Text(f"  {show_text(self.text)}", style="cyan", no_wrap=True, overflow="ignore")
