"""Names that would be read as markup, or steer the terminal: no verb shows them otherwise than they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mtctl.text import show_text
from tests.cli.conftest import Command, Result
from tests.history.runs_factory import write_run

EVIL = ("run[/a]", "run[old]:smile:", "a\nerror: fake\x1b[2J\r\x9b\u202e", os.fsdecode(b"\xff\xfe"))
FORMS = ("--json", "--csv", "--markdown", "--latex")


def assert_plain(result: Result) -> None:
    """Nothing but printable text and ends of lines has left, and no name has become a message."""
    for text in (result.out, result.err):
        assert all(line.isprintable() for line in text.split("\n"))
    assert "\nerror: fake" not in result.err
    assert "Traceback" not in result.err


@pytest.fixture(params=EVIL, ids=ascii)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A results root with an evil name, in which a run of each of two recipes is."""
    name: str = request.param
    root = tmp_path / name
    for recipe in ("gradnorm_blind", "shared_aware"):
        write_run(root, recipe, 0, command=show_text(f"mtctl train {name}"))
    return name


def test_every_verb_shows_a_folder_by_its_name(folder: str, mtctl: Command) -> None:
    shown = show_text(folder)
    compared = mtctl("compare", folder)
    assert_plain(compared)
    assert compared.code == 0
    for form in FORMS:
        result = mtctl("compare", folder, form)
        assert_plain(result)
        assert result.code == 0
        if form == "--json":
            assert json.loads(result.out)["methods"][0]["runs"][0].startswith(folder)
    reported = mtctl("report", folder, "-o", f"{folder.replace('/', '')}.html", "--title", folder)
    assert_plain(reported)
    assert (reported.code, f"wrote {shown.replace('/', '')}.html" in reported.err) == (0, True)
    missing = mtctl("compare", folder, "--baseline", folder)
    assert_plain(missing)
    assert (missing.code, shown in missing.err) == (2, True)


@pytest.mark.parametrize("name", EVIL, ids=ascii)
@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["eval"],
        ["compare"],
        ["diagnose"],
        ["bench", "--recipe"],
        ["recipes", "show"],
        ["recipes", "check"],
        ["recipes", "show", "gradnorm_blind", "-o"],
        ["train", "gradnorm_blind", "--seeds"],
        ["train", "gradnorm_blind", "--seed"],
        ["diagnose", "--explain"],
        ["explain"],
        ["recipes"],
        [],
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_named_as_it_was_typed(name: str, arguments: list[str], mtctl: Command) -> None:
    result = mtctl(*arguments, name)
    assert_plain(result)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")


@pytest.mark.parametrize("name", EVIL, ids=ascii)
def test_a_copy_under_any_name_is_a_recipe(name: str, mtctl: Command) -> None:
    file = f"{name.replace('/', '')}.yaml"
    copied = mtctl("recipes", "copy", "gradnorm_blind", file)
    assert_plain(copied)
    assert copied.code == 0
    checked = mtctl("recipes", "check", file)
    assert_plain(checked)
    assert (checked.code, checked.out) == (0, f"{show_text(file)}: ok\n")


def test_columns_of_a_file_are_text(mtctl: Command) -> None:
    rows = "\n".join(f"{step},{1 / step},2.0" for step in range(1, 12))
    Path("curves.csv").write_text(
        f'step,"loss_[/x]\x1b\u202e","loss_b\nerror: fake"\n{rows}\n', encoding="utf-8"
    )
    for form in ([], ["--json"]):
        result = mtctl("diagnose", "curves.csv", *form)
        assert_plain(result)
        assert result.code == 0
        assert "[/x]\\" in result.out


def test_a_file_is_shown_as_it_is_to_programs_alone(mtctl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# \x1b]0;title\x07\nextends: gradnorm_blind\n"
    Path("own.yaml").write_text(text, encoding="utf-8")
    assert mtctl("recipes", "show", "own.yaml", "--source").out == text
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert_plain(mtctl("recipes", "show", "own.yaml", "--source"))
