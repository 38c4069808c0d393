"""A console on which text is text: no markup in names, nothing that steers the terminal, any width."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from mtctl.text import show_text

_SIZES: Final = ("COLUMNS", "LINES")
_NARROWEST: Final = 20  # cells
_WORDS: Final = re.compile(r"\s*[^\s`]*`[^`]*`\S*\s*|\s*\S+\s*")
_LARGEST: Final = 4  # digits of a size: tables are padded to it, and memory ends


class Terminal(Console):
    """Rich's console, safe for text from anywhere.

    A string is one line of plain text. Several lines are a `Text`.

    Args:
        stderr: print there instead of to stdout.
        **settings: of rich's console.
    """

    def __init__(self, *, stderr: bool = False, **settings: Any) -> None:
        super().__init__(
            stderr=stderr, markup=False, emoji=False, highlight=False, _environ=_environment(), **settings
        )

    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> ConsoleDimensions:
        """Return the size, and a width that a word fits into: what is narrower breaks lines by itself."""
        actual = super().size
        return ConsoleDimensions(max(_NARROWEST, actual.width), actual.height)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, as rich does; `soft_wrap` breaks sentences between words, and only on a terminal."""
        shown: Iterable[Any] = (Text(show_text(each)) if isinstance(each, str) else each for each in objects)
        if options.get("soft_wrap") and self.is_terminal:
            shown = (_folded(each, self.width) if isinstance(each, Text) else each for each in shown)
        super().print(*shown, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and spell out what nobody has spelled out before: everything on a screen comes this way."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                lines = segment.text.split("\n")
                yield Segment("\n".join(map(show_text, lines)), segment.style)


def _folded(text: Text, width: int) -> Text:
    """Break lines between words; a command in backticks is one word, which can be copied."""
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        breaks, begin = [], 0
        for word in _WORDS.finditer(line.plain) if line.cell_len > width else ():
            if word.start() > begin and cell_len(line.plain[begin : word.end()].rstrip()) > width:
                begin = word.start()
                breaks.append(begin)
        lines += line.divide(breaks)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def _environment() -> Mapping[str, str]:
    """Return the environment without sizes that are none, which rich would take: 0, ², 10 to the 12th."""
    return {name: value for name, value in os.environ.items() if name not in _SIZES or _is_size(value)}


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LARGEST and int(text) > 0
