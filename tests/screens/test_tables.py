from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mtctl.screens.figures import duration, estimates, interval, measure, number
from mtctl.screens.tables import Column, StackedTable, fold, markdown
from mtctl.statistics import Estimate, Interval
from tests.screens.snapshots import render

names = st.text(alphabet="abcdef_-.@漢", min_size=1, max_size=60)
figures = st.floats(-1e12, 1e12).map(number)


@st.composite
def tables(draw: st.DrawFn) -> StackedTable:
    rows = draw(st.integers(1, 4))
    columns = st.builds(Column, names, st.tuples(*[figures] * rows))
    groups = draw(st.lists(st.lists(columns, max_size=5).map(tuple), max_size=3))
    return StackedTable("title", Column("method", draw(st.tuples(*[names] * rows)), text=True), *groups)


@settings(deadline=None)
@given(tables(), st.integers(1, 200))
def test_no_width_costs_a_digit(table: StackedTable, width: int) -> None:
    words = re.split(r"\s+", render(table, width=width))
    for column in table.columns[1:]:
        for cell in column.cells:
            assert words.count(cell) >= 1
    assert not any("…" in word for word in words)


@settings(deadline=None)
@given(tables())
def test_a_table_keeps_to_a_usual_screen(table: StackedTable) -> None:
    lines = render(table, width=80).splitlines()
    assert max(map(cell_len, lines)) <= 80


def parts(*sizes: int, width: int) -> list[int]:
    """Return how many columns each part of a table has, apart from the first."""
    groups = tuple(tuple(Column("h", ("1.0",)) for _ in range(size)) for size in sizes)
    text = render(StackedTable("t", Column("m", ("x",), text=True), *groups), width=width)
    return [line.count("1.0") for line in text.splitlines() if line.startswith("x")]


def test_a_table_is_cut_between_groups_if_it_can() -> None:
    assert parts(3, 2, width=80) == [5]
    assert parts(3, 2, width=17) == [3, 2]
    assert parts(1, 3, width=17) == [1, 3]
    assert parts(5, 1, width=17) == [3, 3]


@settings(deadline=None)
@given(names, st.integers(1, 30))
def test_a_folded_name_is_whole(name: str, width: int) -> None:
    folded = fold(name, width)
    assert folded.replace("\n", "") == name
    assert all(line for line in folded.split("\n"))


def test_text_is_folded_between_words_then_after_separators() -> None:
    assert fold("gradnorm_pcgrad_blind", 16) == "gradnorm_pcgrad_\nblind"
    assert fold("shared_aware", 16) == "shared_aware"
    assert fold("shared_aware@0af31b", 16) == "shared_aware@\n0af31b"
    assert fold("not distinguishable with 5 seeds", 20) == "not distinguishable\nwith 5 seeds"
    assert fold("heavy, windy_hull_noise", 16) == "heavy,\nwindy_hull_noise"


def test_room_goes_to_the_narrowest_column_that_wants_it() -> None:
    rows, verdict = Column("m", ("a" * 60,), text=True), Column("v", ("b" * 20 + " c",), text=True)
    lines = render(StackedTable("t", rows, [verdict]), width=60).splitlines()
    assert lines[3] == f"{'a' * 36}  {'b' * 20} c"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.0"), (-35.06, "-35.1"), (1234567.0, "1,234,567.0"), (-2.5e12, "-2.5e+12")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (0.00612, "0.00612"),
        (0.7081, "0.708"),
        (15.692, "15.7"),
        (104.4, "104"),
        (99_999.6, "100,000"),
        (-2.5e12, "-2.50e+12"),
        (3.4e-7, "3.40e-07"),
    ],
)
def test_measure(value: float | None, text: str) -> None:
    assert measure(value) == text


def test_interval() -> None:
    assert interval(Interval(-1.0, 12.25), sign=True) == "[-1.0, +12.2]"
    assert interval(None) == "–"


def test_estimates_are_aligned_at_the_sign() -> None:
    found = estimates(
        [
            Estimate(3, 231.4, 1.0, Interval(219.1, 243.7)),
            Estimate(3, -35.1, 1.0, Interval(-137.4, 67.2)),
            Estimate(1, 200.0, None, None),
        ]
    )
    assert found == ("231.4 ±  12.3", "-35.1 ± 102.3", "200.0        ")
    assert estimates([Estimate(1, 200.0, None, None)]) == ("200.0",)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (492, "8:12"), (3599.4, "59:59"), (3600, "1:00:00"), (36e5, "1,000:00:00")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_markdown_is_one_table_of_plain_cells() -> None:
    table = StackedTable("Title", Column("method", ("a|b",), text=True), [Column("x y", ("1.0 ",))])
    assert markdown(table) == "**Title**\n\n| method | x y |\n| --- | ---: |\n| a\\|b | 1.0 |\n"
