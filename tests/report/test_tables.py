"""Tables in HTML keep every digit."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtctl.report.tables import figure, name, table
from mtctl.screens.tables import Column, StackedTable

visible = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)


@given(st.lists(st.tuples(visible, visible), min_size=1, max_size=4), visible)
def test_every_cell_is_there(rows: list[tuple[str, str]], title: str) -> None:
    first, second = zip(*rows, strict=True)
    found = table(StackedTable(title, Column("a", first, text=True), [Column("b", second, text=True)]))
    cells = re.findall(r"<(?:th scope=\"row\"|td)[^>]*>(.*?)</t[hd]>", found, re.DOTALL)
    assert [html.unescape(cell.replace("<wbr>", "")) for cell in cells] == [
        cell for row in rows for cell in row
    ]
    assert html.unescape(re.findall("<h3[^>]*>(.*?)</h3>", found, re.DOTALL)[0]) == title


def test_headers_belong_to_columns_and_rows() -> None:
    found = table(
        StackedTable("Scores", Column("method", ("a_b",), text=True), [Column("return", ("-1.5 ±  0.5",))])
    )
    assert '<th scope="col">method</th>' in found
    assert '<th scope="col" class="number">return</th>' in found
    assert '<th scope="row">a_<wbr>b</th>' in found
    assert '<td class="number">\u22121.5 ± \u20070.5</td>' in found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-12.5", "\u221212.5"),
        ("[-1.0, -0.5]", "[\u22121.0, \u22120.5]"),
        ("+3.0", "+3.0"),
        ("1e-05", "1e-05"),
        ("a-1", "a-1"),
        ("2.0      ", "2.0" + "\u2007" * 6),
        ("–", "–"),
    ],
)
def test_figures(text: str, shown: str) -> None:
    assert figure(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("balancer.base_weights.a", "balancer.<wbr>base_<wbr>weights.<wbr>a"),
        ("0.0005", "0.0005"),
        ("1e-05", "1e-05"),
        ("results/a-b/seed0", "results/<wbr>a-<wbr>b/<wbr>seed0"),
    ],
)
def test_names_are_broken_after_separators_and_numbers_never(text: str, shown: str) -> None:
    assert name(text) == shown


@pytest.mark.parametrize("text", ["", "abc", "a_b-c.d/e@f", "__", "results/x"])
def test_names_keep_their_letters(text: str) -> None:
    assert name(text).replace("<wbr>", "") == text
