"""What is printed is what was said, on any terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from mtctl.screens.latex import latex
from mtctl.screens.tables import Column, StackedTable, markdown
from mtctl.terminal.console import err, out, redraws, rendered, write_json, write_line


@pytest.fixture(autouse=True)
def _size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    "text", ["run[/a]", "run[old]", "[bold]x[/bold]", "a :smile: b", "[link=x]y", "\\[a]"]
)
def test_a_name_is_no_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(text, box=None, show_header=True, padding=0)
    table.add_row(text)
    out().print(text)
    out().print(table)
    err().print(text, style="red", soft_wrap=True)
    captured = capsys.readouterr()
    assert captured.out.split() == 3 * text.split()
    assert captured.err == f"{text}\n"


def test_nothing_steers_the_terminal_however_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2Jb\x9b1m\u202ec\rd\x07"
    table = Table(evil, box=None)
    table.add_row(Text(evil))
    out().print(evil, Text(evil), table, StackedTable(evil, Column(evil, (evil,))), sep="\n", crop=False)
    write_line(f"{evil}\n")
    write_json({evil: f"{evil}\x7f\udcff"})
    shown = capsys.readouterr().out
    assert "a\\x1b[2Jb\\x9b1m\\u202ec\\rd\\x07" in shown
    assert all(line.isprintable() for line in shown.splitlines())


def test_a_string_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    err().print("wrote x\nerror: fake")
    assert capsys.readouterr().err == "wrote x\\nerror: fake\n"


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        ("0", 80),
        ("1", 20),
        ("7", 20),
        ("-3", 80),
        ("abc", 80),
        ("²", 80),
        ("", 80),
        ("9" * 12, 80),
        ("33", 33),
    ],
)
def test_any_width_is_one_that_can_be_read(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    assert out().width == width


@pytest.mark.parametrize("width", range(1, 12))
def test_a_narrow_terminal_shows_every_digit(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out().print(StackedTable("A title", Column("m", ("x",), text=True), [Column("n", ("-1,234.5",))]))
    shown = capsys.readouterr().out
    assert "-1,234.5" in shown
    assert max(map(cell_len, shown.splitlines())) <= 20


@pytest.mark.parametrize(("term", "moves"), [("xterm", True), ("dumb", False)])
def test_a_terminal_that_only_adds_lines_is_not_redrawn(
    term: str, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    assert redraws(out()) is moves


EVIL = "a|b*c*_d_`e`<f>[g](h)~i~&lt;#$j$\\\n"


def test_markdown_shows_names_as_they_are() -> None:
    table = StackedTable(
        EVIL, Column(EVIL, (EVIL, "two_words __init__"), text=True), [Column("n", ("1", "[2]"))]
    )
    name = r"a\|b\*c\*\_d\_\`e\`\<f\>\[g\](h)\~i\~\&lt;\#\$j\$\\\\n"
    assert markdown(table).splitlines() == [
        f"**{name}**",
        "",
        f"| {name} | n |",
        "| --- | ---: |",
        f"| {name} | 1 |",
        r"| two_words \_\_init\_\_ | [2] |",
    ]


def test_latex_reads_no_name_as_a_command() -> None:
    names = ("[old]", "*x", 'a|"b`', "\\input{x}", "a\nb")
    table = StackedTable("[t]", Column("m", names, text=True), [Column("n", ("[1, 2]",) * 5)])
    lines = latex(table).splitlines()
    assert lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")] == [
        r"{}[old] & [1, 2] \\",
        r"{}*x & [1, 2] \\",
        r"a\textbar{}\textquotedbl{}b\textasciigrave{} & [1, 2] \\",
        r"\textbackslash{}input\{x\} & [1, 2] \\",
        r"a\textbackslash{}nb & [1, 2] \\",
    ]


def test_a_screen_as_text_is_plain_wherever_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table("name", "long" * 5)
    table.add_row("a", "b")
    text = rendered(Text("head", style="bold red"), "a\x1b", table, width=40)
    assert text.splitlines()[:2] == ["head", "a\\x1b"]
    assert "\x1b" not in text
    assert all(line == line.rstrip() and cell_len(line) <= 40 for line in text.splitlines())


def test_notes_break_between_words_on_a_terminal_and_commands_not_at_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "`mtctl train results/a/seed0/recipe.yaml --seed 0 --resume`"
    note = f"note: Δm is left out: it divides by scores, which are not positive on standard ({command})"
    monkeypatch.setenv("COLUMNS", "40")
    err().print(note, soft_wrap=True)
    assert capsys.readouterr().err == f"{note}\n"
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    err().print(Text(note), soft_wrap=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["note: Δm is left out: it divides by", "scores, which are not positive on"]
    assert f"({command})" in lines
    assert " ".join(lines) == note
