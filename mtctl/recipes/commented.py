"""A recipe as a file for people: every key, and above it what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final

from mtctl.part import Part
from mtctl.problems.recipe import Recipe
from mtctl.recipes.resolved import text

_COLUMNS: Final = 100
_INTERNAL: Final = "known_as"
"""Only runs keep it."""


def commented(recipe: Recipe, head: Iterable[str] = ()) -> str:
    """Return the recipe as YAML text with comments. It loads back to an equal recipe.

    Args:
        recipe: to write. Its data are named as they were first, not by an absolute path.
        head: lines of the comment at the top.
    """
    if recipe.data_name is not None:
        recipe = recipe.with_data(recipe.data_name, recipe.data_name)
    lines = [f"# {line}".rstrip() for line in head]
    return "\n".join([*lines, *([""] if lines else []), *_keys(recipe, "")]) + "\n"


def _keys(part: Part, indent: str) -> Iterator[str]:
    values = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        if name == _INTERNAL:
            continue
        value = getattr(part, name)
        if isinstance(value, Part) and not indent:
            yield ""
        told = field.description or (_meaning(value) if isinstance(value, Part) else "")
        yield from _comment(told, indent)
        yield from _key(text(name), value, values[name], indent)


def _key(name: str, value: Any, plain: Any, indent: str) -> Iterator[str]:
    match value:
        case Part() if plain:
            yield f"{indent}{name}:"
            yield from _keys(value, indent + "  ")
        case _:
            yield f"{indent}{name}: {text(plain)}"


def _meaning(part: Part) -> str:
    """Return what a part is, as its class says."""
    return (type(part).__doc__ or "").strip().partition("\n\n")[0]


def _comment(told: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(told.split()), _COLUMNS - len(indent) - 2):
        yield f"{indent}# {line}"
