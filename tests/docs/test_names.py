"""What pages name in passing is there: verbs and their options, files, benchmarks."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from mtctl.cli.app import app
from tests.docs.pages import PAGES, ROOT, blocks, prose

_CODE = re.compile(r"`([^`]+)`")
_FILE = re.compile(
    r"(?:mtctl|tests|benchmarks|examples|recipes|docs)/[\w./]*\w|(?:pyproject|constraints)\.\w+"
)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@cache
def _verbs() -> Any:
    return typer.main.get_command(app)


def _options(words: list[str]) -> tuple[set[str], set[str]]:
    """Return the options that a command names, and those that its verb has."""
    verb = _verbs()
    for word in words:
        if word in getattr(verb, "commands", {}):
            verb = verb.commands[word]
        elif hasattr(verb, "commands"):
            assert word.startswith("-"), f"there is no verb {word}"
    known = {"--help", "-h", "-v", "--verbose", "--version", "--install-completion"}
    for parameter in verb.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    return {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}, known


def _named(page: Path) -> list[str]:
    return [" ".join(code.split()).replace("\\|", "|") for code in _CODE.findall(prose(page))]


@pages
def test_verbs_and_options(page: Path) -> None:
    commands = [block.text for block in blocks(page) if block.kind == "command"]
    for command in (*commands, *_named(page)):
        program, *words = shlex.split(command, comments=True) if command.startswith("mtctl ") else [""]
        if program:
            named, known = _options(words)
            assert named <= known, f"{page.name}: {command}"


@pages
def test_files(page: Path) -> None:
    for code in _named(page):
        if _FILE.fullmatch(code):
            assert (ROOT / code).exists(), f"{page.name}: {code}"
        if found := re.search(r"python -m (benchmarks\.\w+)", code):
            assert (ROOT / found[1].replace(".", "/")).with_suffix(".py").exists(), f"{page.name}: {code}"
