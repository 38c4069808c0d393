from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtctl.text import command_line, show_lines, show_text


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


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), max_size=3
    )
)
@example(["a\nb", "\x1b[2J", "it's", "\\", "\x077", "ü", "\u2028", "-o", ""])
def test_a_command_is_one_line_that_any_terminal_can_show(arguments: list[str]) -> None:
    assert command_line(arguments).isprintable()


def test_a_plain_command_is_as_plain_as_before() -> None:
    assert command_line(["mtctl", "train", "a b", "-o", "x=[1, 2]"]) == "mtctl train 'a b' -o 'x=[1, 2]'"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "argument", ["a\nb", "\x1b[2J", "it's\t", "\\\n", "\x077", "ü\x85", "\udcff\udc80é", "\u2028"]
)
def test_a_shell_reads_it_as_it_was_typed(argument: str) -> None:
    command = command_line(["printf", "%s", argument])
    said = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    assert said == os.fsencode(argument)
