"""A function named in place of a recipe, `FILE.py:FUNCTION`: the recipe that trains what it builds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mtctl.errors import MtctlError
from mtctl.problems.python import source as python
from mtctl.recipes.builtin import exists, find
from mtctl.recipes.resolved import text
from mtctl.text import command_line
from mtctl.yaml.sources import Source

_FORM: Final = re.compile(r"(?P<place>.+):(?P<function>[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)
_OTHERS: Final = (".yaml", ".yml", ".csv", ".jsonl")
"""Endings of what is no module: `recipe.yaml:build` is a slip."""
_USUAL: Final = "build"
"""The function that a recipe's name need not mention."""
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 100
"""Characters of a recipe's name."""


def is_function(reference: str) -> bool:
    """Return whether a RECIPE argument names a function, and no file is called like that."""
    parts = _FORM.fullmatch(reference)
    if parts is None or exists(Path(reference)):
        return False
    place = parts["place"]
    return place.endswith(python.SUFFIX) or (python.is_module(place) and not place.endswith(_OTHERS))


def recipe_text(reference: str) -> Source:
    """Return the recipe of a function as the text of a file that would say it.

    Nothing is run: whether the function is there, and which tasks it names, is known once its file is run.

    Raises:
        MtctlError: there is no such file.
    """
    place, function = python.split(reference)
    if not python.is_module(place):
        python.require_file(place)
    lines = (
        f"name: {text(_name(place, function))}",
        "problem:",
        "  kind: python",
        f"  build: {text(reference)}",
        "balancer:",
        "  kind: equal",
    )
    return Source(reference, "\n".join(lines), argument=True)


def _name(place: str, function: str) -> str:
    stem = Path(place).stem if place.endswith(python.SUFFIX) else place.rpartition(".")[2]
    whole = stem if function == _USUAL else f"{stem}_{function}"
    return _UNUSUAL.sub("_", whole).strip("._-")[:_LONGEST] or function.strip("_") or _USUAL


def recipe_file(reference: str) -> Path:
    """Return the file of a recipe, as `builtin.find` does.

    Raises:
        MtctlError: there is none; a function has none.
    """
    if is_function(reference):
        raise MtctlError(
            f"{reference} is a function, which has no recipe file",
            hint=f"write one: {command_line(['mtctl', 'recipes', 'init', reference])}",
        )
    return find(reference)
