"""Text stays text, whatever it says."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtctl.report.markup import Markup, data, element, escape, join

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "<img src=x onerror=alert(1)>",
    "\u2028\u2029",
    "&lt;b&gt;",
    "'\" onmouseover=alert(1) x='",
)
texts = st.one_of(st.sampled_from(HOSTILE), st.text())
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
    ),
    lambda parts: st.one_of(st.lists(parts, max_size=4), st.dictionaries(texts, parts, max_size=4)),
    max_leaves=12,
)


class Reader(HTMLParser):
    """What a browser would make of it: elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(values)
def test_any_value_comes_back_from_a_page(value: Any) -> None:
    page = f"<!doctype html><p>before</p>{data('figures', value)}<p>after</p>"
    (carried,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert json.loads(carried) == value
    assert carried.isascii()
    assert not set("<>&") & set(carried)
    assert [name for name, _ in Reader(page).elements] == ["p", "script", "p"]


def test_lone_surrogates_of_file_names_come_back_too() -> None:
    carried = data("figures", "runs/\udcff").split(">", 1)[1].removesuffix("</script>")
    assert json.loads(carried) == "runs/\udcff"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_word_for_what_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        data("figures", {"a": value})


@given(texts, texts)
def test_text_is_no_markup(text: str, attribute: str) -> None:
    read = Reader(element("p", text, title=attribute))
    assert [name for name, _ in read.elements] == ["p"]
    assert set(read.elements[0][1]) == {"title"}
    assert html.unescape(read.text) == html.unescape(html.unescape(escape(text)))
    element("p", text).encode()


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"])))
def test_what_can_be_seen_comes_back(text: str) -> None:
    assert html.unescape(escape(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("\udcff", "\\udcff"),
        ("a\nb", "a\nb"),
        ("\x00", "\\x00"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_elements() -> None:
    found = element(
        "a", "x", [" y", None, element("b", "&")], href="#z", class_="k", hidden=True, open=False, id=None
    )
    assert found == '<a href="#z" class="k" hidden>x y<b>&amp;</b></a>'
    assert element("meta", http_equiv="x") == '<meta http-equiv="x">'
    assert join(["<", Markup("<br>")]) == "&lt;<br>"
