"""What the shell is told when a word is to be completed, by way of Typer's own protocol."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mtctl.balancing.registry import KINDS
from mtctl.engine import layout
from mtctl.recipes import builtin
from tests.cli.conftest import Command
from tests.history.runs_factory import write_run

Complete = Callable[[str], list[str]]


def asked(line: str) -> dict[str, str]:
    """Return the environment in which bash asks for the last word of a command line."""
    return {"_MTCTL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}


@pytest.fixture
def complete(mtctl: Command, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Return what bash is offered for a command line whose last word is incomplete."""

    def completed(line: str) -> list[str]:
        for name, value in asked(line).items():
            monkeypatch.setenv(name, value)
        result = mtctl()
        assert (result.code, result.err) == (0, "")
        return result.out.split()

    return completed


def test_verbs(complete: Complete) -> None:
    assert complete("mtctl tr") == ["train"]
    assert complete("mtctl recipes c") == ["copy", "check"]


@pytest.mark.parametrize(
    "words",
    [
        "train",
        "train equal_blind",
        "diagnose",
        "bench --recipe",
        "recipes show",
        "recipes copy",
        "recipes check",
        "recipes diff",
        "recipes diff equal_blind",
    ],
)
def test_recipes(complete: Complete, words: str) -> None:
    Path("pcgrad_mine.yaml").touch()
    Path("pcgrad.py").touch()
    Path("pcgrad.csv").touch()
    built_in = [name for name in builtin.names() if name.startswith("pcgrad")]
    assert built_in
    assert complete(f"mtctl {words} pcgrad") == [*built_in, "pcgrad.py", "pcgrad_mine.yaml"]


def test_recipes_by_their_path(complete: Complete) -> None:
    Path("mine").mkdir()
    Path("mine/slow.yml").touch()
    assert complete("mtctl train mine/") == ["mine/slow.yml"]
    assert complete("mtctl train published/") == [
        name for name in builtin.names() if name.startswith("published/")
    ]
    assert complete("mtctl train nowhere/") == []  # paths are the shell's


@pytest.mark.parametrize("words", ["explain", "train equal_blind --balancer"])
def test_methods(complete: Complete, words: str) -> None:
    assert complete(f"mtctl {words} ") == list(KINDS)
    assert complete(f"mtctl {words} pc") == ["pcgrad"]


@pytest.mark.parametrize("verb", ["eval", "compare", "report"])
def test_runs(complete: Complete, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("blind", "blind_famo"):
        write_run(Path("results"), name, 0)
        write_run(Path("results"), name, 1)
    assert complete(f"mtctl {verb} ") == ["results/blind", "results/blind_famo"]
    assert complete(f"mtctl {verb} results/blind_") == ["results/blind_famo"]
    assert complete(f"mtctl {verb} results/blind/") == ["results/blind/seed0", "results/blind/seed1"]
    assert complete(f"mtctl {verb} other/") == []
    Path("results").rename("kept")
    monkeypatch.setenv(layout.RESULTS_VARIABLE, "kept")
    assert complete(f"mtctl {verb} k") == ["kept/blind", "kept/blind_famo"]


def imported(code: str, **environment: str) -> set[str]:
    """Return what heavy libraries a program has imported when it ends."""
    told = "import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import atexit; atexit.register(lambda: exec({told!r})); {code}"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return {"torch", "numpy", "pydantic", "yaml", "rich"} & set(done.stderr.split())


def test_words_are_found_without_a_heavy_library() -> None:
    words = "completion.recipes(''), completion.methods(''), completion.runs('')"
    assert imported(f"from mtctl.cli import completion; print({words})") == set()


def test_completing_imports_no_more_than_typer_does() -> None:
    code = "import sys; sys.argv = ['mtctl']; from mtctl.cli.app import main; main()"
    assert imported(code, **asked("mtctl train p")) <= {"pydantic"}
