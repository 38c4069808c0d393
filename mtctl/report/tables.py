"""Tables in HTML: every digit of the screens' tables, with headers that a screen reader can name."""

from __future__ import annotations

import re
from typing import Final

from mtctl.report.markup import Markup, element, join
from mtctl.screens.tables import Column, StackedTable

_MINUS: Final = re.compile(r"(?<![\w-])-(?=\d)")
_BREAKS: Final = re.compile(r"(?<=[-_./@])(?=[^\W\d_])")
"""Where a name may be broken: after its separators, and never within a number."""
_PADDING: Final = re.compile(r"(?<= ) |^ +| +$")
_FIGURE_SPACE: Final = "\u2007"
"""As wide as a digit."""


def table(shown: StackedTable) -> Markup:
    """Return a table that scrolls within itself where the page is narrower."""
    columns = shown.columns
    head = element("tr", (_header(column) for column in columns))
    rows = (
        element(
            "tr",
            (
                _cell(column, cell, first=index == 0)
                for index, (column, cell) in enumerate(zip(columns, row, strict=True))
            ),
        )
        for row in zip(*(column.cells for column in columns), strict=True)
    )
    whole = element("table", element("thead", head), element("tbody", rows), aria_label=shown.title)
    return join(
        (
            element("h3", shown.title, class_="title"),
            element("div", whole, class_="scroll", role="region", tabindex="0", aria_label=shown.title),
        )
    )


def _header(column: Column) -> Markup:
    return element("th", column.header, scope="col", class_=None if column.text else "number")


def _cell(column: Column, cell: str, *, first: bool) -> Markup:
    content = name(cell) if column.text else figure(cell)
    kind = None if column.text else "number"
    return element("th", content, scope="row") if first else element("td", content, class_=kind)


def name(text: str) -> Markup:
    """Return a name that may be broken after its separators."""
    first, *others = _BREAKS.split(text)
    return join((first, ((element("wbr"), piece) for piece in others)))


def figure(text: str) -> str:
    """Return a number with a minus, which is longer than a hyphen, and padding as wide as digits."""
    return _PADDING.sub(lambda spaces: _FIGURE_SPACE * len(spaces[0]), _MINUS.sub("\u2212", text))
