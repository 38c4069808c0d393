"""The screens' tables for a page: the same cells, which a browser lays out."""

from __future__ import annotations

from mtctl.report.parts import PageColumn, PageTable
from mtctl.screens.tables import StackedTable


def plain(table: StackedTable) -> PageTable:
    """Return a screen's table as plain data."""
    return PageTable(
        table.title, tuple(PageColumn(each.header, each.cells, text=each.text) for each in table.columns)
    )
