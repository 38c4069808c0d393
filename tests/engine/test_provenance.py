from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtctl.engine.provenance import command_line


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
