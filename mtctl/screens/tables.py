"""Tables that keep every digit at any width: what does not fit side by side is stacked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from mtctl.text import show_text

_GAP = 2
"""Cells between columns."""
_NARROW_TEXT = 14
"""Width below which text is not squeezed: "published_gradnorm_blind" still folds into two whole parts."""
_LONGEST_HEADER = 16
"""Longest word of a header that is not broken: as long as the longest built-in task's name."""
_WORDS = re.compile(r"\S+\s*")
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~#&$]|(?<![^\W_])_|_(?![^\W_])")
"""What could be read as Markdown or HTML within a line; an underscore inside a word is one everywhere."""
_PIECES = re.compile(r"[^-_./@]+[-_./@]?|[-_./@]")


class Column:
    """A column of a stacked table.

    Args:
        header: may be broken at spaces.
        cells: one for each row.
        text: whether the cells are text, which may be broken; numbers are not.
        kept: cells of text in one piece: names, which are read as words.
    """

    def __init__(
        self, header: str, cells: Iterable[str], *, text: bool = False, kept: int = _NARROW_TEXT
    ) -> None:
        self.kept = kept
        # What would steer a terminal is spelled out before anything is measured: names come from files.
        self.header, self.cells, self.text = show_text(header), tuple(map(show_text, cells)), text

    @property
    def wanted(self) -> int:
        """Return the width that needs no break in the cells."""
        return max(self._header_word, *map(cell_len, self.cells))

    @property
    def minimum(self) -> int:
        """Return the width below which the column moves to the next table."""
        return max(self._header_word, min(self.wanted, self.kept)) if self.text else self.wanted

    @property
    def _header_word(self) -> int:
        return min(_LONGEST_HEADER, max(map(cell_len, self.header.split())))


class StackedTable:
    """A table that is cut into several, one above the other, where its columns do not fit side by side.

    Every part repeats the first column. Print it with `crop=False`: on a screen too narrow for one number the
    line then runs over instead of losing digits.

    Args:
        title: a line above.
        rows: the first column.
        groups: the other columns; a cut falls between groups if it can.
    """

    def __init__(self, title: str, rows: Column, *groups: Iterable[Column]) -> None:
        self.title, self.rows, self.groups = show_text(title), rows, tuple(map(tuple, groups))

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return all columns."""
        return (self.rows, *(column for group in self.groups for column in group))

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType | Segment]:
        """Render the parts for the width at hand."""
        yield Text(self.title, style="bold")
        for number, part in enumerate(_pack(self, options.max_width)):
            if number:
                yield ""
            yield from _rendered(part, console, options)


def _pack(table: StackedTable, width: int) -> list[list[Column]]:
    parts = [[table.rows]]

    def begin_unless_fits(columns: Sequence[Column]) -> None:
        if len(parts[-1]) > 1 and _total([column.minimum for column in (*parts[-1], *columns)]) > width:
            parts.append([table.rows])

    for group in table.groups:
        begin_unless_fits(group)
        for column in group:
            begin_unless_fits([column])
            parts[-1].append(column)
    return parts


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * len(widths) - 1


def _rendered(columns: Sequence[Column], console: Console, options: ConsoleOptions) -> Iterator[Segment]:
    """Draw columns side by side, the headers' last lines on one line above a rule."""
    planned = _widths(columns, options.max_width)
    widths = [planned[0] + 1, *planned[1:]]  # names stand a cell further off than numbers from each other
    headers = [
        [line.plain.rstrip() for line in Text(column.header).wrap(console, width, overflow="fold")]
        for column, width in zip(columns, widths, strict=True)
    ]
    height = max(map(len, headers))
    bottom = [[""] * (height - len(lines)) + lines for lines in headers]
    yield from _lines(columns, widths, bottom, console.get_style("table.header"))
    yield Segment(("-" if options.ascii_only else "─") * (_total(widths) - 1))
    yield Segment.line()
    for row in zip(*(column.cells for column in columns), strict=True):
        yield from _lines(columns, widths, list(map(_cell, columns, row, planned, widths)))


def _lines(
    columns: Sequence[Column],
    widths: Sequence[int],
    cells: Sequence[Sequence[str]],
    style: Style | None = None,
) -> Iterator[Segment]:
    """Draw one row, of which each cell has one line or several: text on the left, numbers on the right."""
    for line in zip_longest(*cells, fillvalue=""):
        padded = (
            cell + space if column.text else space + cell
            for column, cell, width in zip(columns, line, widths, strict=True)
            for space in [" " * (width - cell_len(cell))]
        )
        yield Segment((" " * _GAP).join(padded), style)
        yield Segment.line()


def _cell(column: Column, cell: str, planned: int, width: int) -> list[str]:
    """Return the lines of a cell, folded at the planned width; what cannot be folded has the whole width."""
    if not column.text or cell_len(cell) <= planned:
        return [cell]
    return [part for line in fold(cell, planned).split("\n") for part in chop_cells(line, width)]


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Start from the minimum and widen, cell by cell, the narrowest column that wants more."""
    widths = [column.minimum for column in columns]
    for _ in range(width - _total(widths)):
        wanting = [index for index, column in enumerate(columns) if widths[index] < column.wanted]
        if not wanting:
            break
        widths[min(wanting, key=widths.__getitem__)] += 1
    return widths


def fold(text: str, width: int) -> str:
    """Break text into lines of at most `width` cells: between words, and within one after its separators."""
    lines = [""]
    for word in _WORDS.findall(text):
        for piece in [word] if cell_len(word.rstrip()) <= width else _PIECES.findall(word):
            if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def markdown(table: StackedTable) -> str:
    """Return the table in Markdown, in one piece."""
    columns = table.columns
    lines = [
        [_as_markdown(column.header) for column in columns],
        ["---" if column.text else "---:" for column in columns],
        *zip(
            *(map(_as_markdown, column.cells) if column.text else column.cells for column in columns),
            strict=True,
        ),
    ]
    body = [f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines]
    return "\n".join([f"**{_as_markdown(table.title)}**", "", *body, ""])


def _as_markdown(text: str) -> str:
    """Return text that a reader of Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\g<0>", text)
