"""What `mtctl explain` and `mtctl recipes list --methods` show: balancing methods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import RenderableType

from mtctl.screens.prose import Sentence, heading
from mtctl.screens.tables import Column, StackedTable

if TYPE_CHECKING:
    from mtctl.catalogue.cards import Card

_CLAUSES = re.compile(r"(?<=[,;])\s{2,}")
"""What stands between the clauses of an equation: on a screen, each has its line."""


def clauses(line: str) -> list[str]:
    """Return what a line of an equation says, one by one: `G = …`, `r = …`."""
    return _CLAUSES.split(line)


def method_screen(card: Card) -> Iterator[RenderableType]:
    """Yield what is known of one method."""
    yield Sentence(card.summary, f"{card.kind}:", "bold")
    yield ""
    for line in card.equation:
        for clause in clauses(line):
            yield Sentence(clause, indent=4, tone="cyan")
    for paragraph in card.about:
        yield ""
        yield Sentence(paragraph)
    yield ""
    facts = {"Helps": card.helps, "Fails": card.fails, "Costs": card.cost, "Acts on": card.acts_on}
    for name, text in ({**facts, "Source": card.source} if card.source else facts).items():
        yield Sentence(text, f"{name + ':':<8}", "bold")
    if card.settings:
        yield ""
        yield heading("Settings and their defaults")
    for setting in card.settings:
        yield Sentence(f"{setting.name}: {setting.default or '(required)'}", indent=2, tone="cyan")
        if setting.meaning:
            yield Sentence(setting.meaning, indent=6)
        if setting.choices:
            yield Sentence(f"One of {', '.join(setting.choices)}.", indent=6)


def methods_screen(families: Mapping[str, Mapping[str, str]]) -> Iterator[RenderableType]:
    """Yield all methods, by what they look at."""
    for number, (group, methods) in enumerate(families.items()):
        if number:
            yield ""
        yield StackedTable(
            group.rstrip("."),
            Column("method", methods, text=True),
            [Column("what it does", methods.values(), text=True)],
        )
    yield ""
    yield Sentence("`mtctl explain METHOD` explains one. A list of methods is a chain.")
