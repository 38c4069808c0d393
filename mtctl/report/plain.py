"""The screens' tables for a page: the same cells, which a browser lays out."""

from __future__ import annotations

from mtctl.report.parts import Column, Table
from mtctl.screens.tables import StackedTable


def plain(table: StackedTable) -> Table:
    """Return a screen's table as plain data."""
    return Table(
        table.title, tuple(Column(each.header, each.cells, text=each.text) for each in table.columns)
    )
