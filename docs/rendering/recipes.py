"""The pages on recipes: the built-in ones as they stand in their files, and every key of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docs.rendering.text import code, fenced, keys, page, prose
from mtctl.balancing.registry import KINDS as METHODS
from mtctl.problems.kinds import KINDS
from mtctl.recipes.builtin import header, names, path_of
from mtctl.recipes.loading import load
from mtctl.recipes.resolved import text
from mtctl.recipes.schema import schema

_BUILT_IN = """\
# Built-in recipes

`mtctl recipes list` names them, `mtctl recipes show NAME` prints one with all that it inherits, and `mtctl
recipes copy NAME my.yaml` makes it yours. Keys that a recipe does not set come from the one that it
`extends`."""

_KEYS = """\
# Every key of a recipe

This is `mtctl recipes schema` as a page. A recipe describes a problem of one kind; its keys stand in the
section of that kind, and further down those of its parts. What stands under `balancer:` has a page for each
[method](../methods/index.md). An editor that knows JSON Schema shows the same while you write: see
[Recipes](../recipes.md)."""

_METHODS = {method.__name__: kind for kind, method in METHODS.items()}


def built_in_page() -> str:
    """Return the page on the recipes that come with mtctl, by their kind of problem."""
    recipes: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in names():
        recipes[load(name).problem.kind].append(name)
    blocks = [
        block
        for kind, of_kind in recipes.items()
        if of_kind
        for block in (f"## {_capital(KINDS[kind].title)}", *map(_recipe, of_kind))
    ]
    return page(_BUILT_IN, *blocks)


def _recipe(name: str) -> str:
    path = path_of(name)
    assert path is not None
    recipe = path.read_text(encoding="utf-8")
    about = "\n".join(header(recipe)).partition("\n\n")[0]
    body = "\n".join(line for line in recipe.splitlines() if not line.startswith("#")).strip()
    return page(f"### {name}", prose(about), fenced(body.splitlines(), "yaml")).rstrip()


def keys_page() -> str:
    """Return the page on the keys of recipes: the schema as tables."""
    document = schema()
    parts = {name: part for name, part in document["$defs"].items() if name not in _METHODS}
    kinds = [_family(family) for family in document["anyOf"]]
    rest = [_part(name, part) for name, part in parts.items()]
    return page(_KEYS, *kinds, "## Parts", *rest)


def _family(family: Mapping[str, Any]) -> str:
    name = family["title"].removesuffix("Recipe").lower()
    return page(f"## {_capital(KINDS[name].title)}", prose(family["description"]), _keys(family)).rstrip()


def _part(name: str, part: Mapping[str, Any]) -> str:
    about, *paragraphs = part.get("description", "").split("\n\n")
    more = [_equation(one) if one.startswith("    ") else prose(one) for one in paragraphs]
    return page(f"### {name}", prose(about), *more, _keys(part)).rstrip()


def _equation(paragraph: str) -> str:
    return fenced(line.removeprefix("    ") for line in paragraph.splitlines())


def _keys(part: Mapping[str, Any]) -> str:
    rows = (
        (code(key), _type(value), _default(value), prose(value.get("description", "")))
        for key, value in part.get("properties", {}).items()
    )
    return keys(("key", "type", "default", "meaning"), rows) if part.get("properties") else ""


def _default(value: Mapping[str, Any]) -> str:
    """Return the default; of a part, what its own section says."""
    if "default" not in value or "$ref" in value:
        return ""
    return code(text(value["default"]))


def _type(value: Mapping[str, Any]) -> str:
    """Return what may stand there: words, numbers with their limits, or links to parts."""
    return " or ".join(dict.fromkeys(_types(value)))


def _types(value: Mapping[str, Any]) -> Iterator[str]:
    match value:
        case {"$ref": reference}:
            name = str(reference).rpartition("/")[2]
            yield "[a method](../methods/index.md)" if name in _METHODS else f"[{name}](#{name.lower()})"
        case {"anyOf": choices}:
            for choice in choices:
                yield from _types(choice)
        case {"const": word}:
            yield code(str(word))
        case {"enum": words}:
            yield from (code(str(word)) for word in words)
        case {"type": "array"}:
            yield f"list of {_type(value.get('items', {})) or 'values'}"
        case {"type": "object"}:
            inner = value.get("additionalProperties")
            yield f"{_type(inner) or 'value'} by name" if isinstance(inner, dict) else "mapping"
        case {"type": kind}:
            yield _WORDS.get(kind, kind) + _limits(value)


_WORDS = {"integer": "whole number", "boolean": "true or false", "string": "text"}
_LIMITS = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "to"}
_ANY = 1e9
"""Limits from which on they only keep out what no machine can count."""


def _limits(value: Mapping[str, Any]) -> str:
    limits = [
        f"{word} {value[key]:g}" for key, word in _LIMITS.items() if key in value and abs(value[key]) < _ANY
    ]
    return f" {', '.join(limits)}" if limits else ""


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]
