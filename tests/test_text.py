from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtctl.text import show_lines, show_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("windows_raw é 窓 ✔ [bold] \\", "windows_raw é 窓 ✔ [bold] \\"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\rc\td\x07", r"a\nb\rc\td\x07"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("\u202eabc\u2066\u2028", r"\u202eabc\u2066\u2028"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_would_steer_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert show_text(text) == shown


@given(st.text(st.characters()))
def test_any_text_becomes_printable_and_is_one_line(text: str) -> None:
    assert show_text(text).isprintable()
    assert show_text(show_text(text)) == show_text(text)
    assert all(line.isprintable() for line in show_lines(text).split("\n"))


def test_a_message_keeps_its_own_lines_and_no_others() -> None:
    assert show_lines("two problems:\n  one\n  two\x1b") == "two problems:\n  one\n  two\\x1b"
    assert show_lines("x\nerror: fake does not exist\n") == "x\\nerror: fake does not exist\\n"
