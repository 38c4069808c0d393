"""Paths that cannot be used, in every option that takes one: the path and the reason, exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.history.runs_factory import write_run

LONG = "a" * 300


@pytest.fixture
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A path, and in the current folder what makes it a bad one."""
    (tmp_path / "file.txt").write_text("x", encoding="utf-8")
    (tmp_path / "loop").symlink_to("loop")
    write_run(tmp_path / "results", "shared_aware", 0)
    path: str = request.param
    return path


@pytest.mark.parametrize(
    "bad", [LONG, f"{LONG}/x", "file.txt/x", "loop/x"], indirect=True, ids=lambda path: path[-10:]
)
@pytest.mark.parametrize(
    "arguments",
    [
        ["compare"],
        ["eval"],
        ["diagnose"],
        ["train"],
        ["recipes", "check"],
        ["report", "results", "--diagnosis"],
        ["report", "results", "-o"],
        ["compare", "results", "--plot"],
        ["recipes", "copy", "shared_aware"],
        ["diagnose", "windows_documented", "--write-recipe"],
        ["train", "shared_aware", "--results-dir"],
        ["train", "shared_aware", "--seeds", "2", "--results-dir"],
    ],
    ids=" ".join,
)
def test_a_path_that_cannot_be_used_is_refused(arguments: list[str], bad: str, mtctl: Command) -> None:
    file = f"{bad}.yaml" if arguments[-1] == "--write-recipe" else bad
    result = mtctl(*arguments, file)
    assert (result.code, result.out) == (2, ""), result
    assert result.err.count("error: ") == 1
    assert bad[:60] in result.err
    assert sorted(entry.name for entry in Path().iterdir()) == ["file.txt", "loop", "results"]


def test_a_place_that_may_not_be_written_to_is_refused_before_anything_is_trained(
    mtctl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    result = mtctl("diagnose", "--write-recipe", "fixed.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: --write-recipe fixed.yaml: . is not writable\nhint: choose another place for --write-recipe\n"
    )
