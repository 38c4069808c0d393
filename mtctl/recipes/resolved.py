"""A resolved recipe as text, as a hash, and against another one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from mtctl.problems.recipe import Recipe
from mtctl.yaml.mistakes import Mistake, Unreadable, refusal
from mtctl.yaml.nodes import plain
from mtctl.yaml.sources import Source
from mtctl.yaml.syntax import parse, scalar

ABSENT = "(absent)"
"""Stands in `differences` for a key that one of the recipes does not have."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def dump(recipe: Recipe) -> str:
    """Return the recipe as YAML text: every key, in the models' order. It loads back to an equal recipe."""
    return yaml_of(recipe.model_dump(mode="json"))


def yaml_of(mapping: dict[str, Any]) -> str:
    """Return JSON values as YAML text."""
    return "\n".join(_lines(mapping)) + "\n"


def recipe_hash(recipe: Recipe) -> str:
    """Return the SHA-256 of the recipe's canonical JSON, in hexadecimal: equal for equal recipes."""
    return canonical_hash(recipe.identity())


def canonical_hash(mapping: dict[str, Any]) -> str:
    """Return the SHA-256 of canonical JSON, in hexadecimal: equal for equal values."""
    canonical = json.dumps(_unsigned_zeros(mapping), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def differences(a: Recipe, b: Recipe) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, value in a, value in b) of every value that differs, in the order of the models."""
    left, right = dict(_leaves(a.identity())), dict(_leaves(b.identity()))
    pairs = ((key, left.get(key, ABSENT), right.get(key, ABSENT)) for key in left | right)
    return [(key, one, other) for key, one, other in pairs if one != other]


def flattened(content: str, name: str) -> dict[str, str | int | float | bool]:
    """Return the values of a recipe's text by dotted key; what is no single value as YAML writes it.

    Any mapping will do: nothing is checked.

    Args:
        content: YAML.
        name: of the text, in error messages.

    Raises:
        MtctlError: it is no YAML that recipes are written in.
    """
    mistakes: list[Mistake] = []
    try:
        tree = parse(Source(name, content), mistakes)
    except Unreadable as error:
        mistakes.append(error.mistake)
    if mistakes or tree is None:
        raise refusal(name, mistakes)
    return {
        key: value if isinstance(value, str | int | float) else text(value)
        for key, value in _leaves(plain(tree))
    }


def text(value: Any) -> str:
    """Return a value as YAML writes it on one line."""
    match value:
        case str():
            return value if _WORD.fullmatch(value) and isinstance(scalar(value), str) else _quoted(value)
        case bool() | None:
            return json.dumps(value)
        case list():
            return f"[{', '.join(map(text, value))}]"
        case dict():
            return f"{{{', '.join(f'{text(key)}: {text(item)}' for key, item in value.items())}}}"
        case _:
            return repr(value)


def _lines(mapping: dict[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in mapping.items():
        match value:
            case dict() if value:
                yield f"{indent}{text(key)}:"
                yield from _lines(value, indent + "  ")
            case [dict(), *_]:
                yield f"{indent}{text(key)}:"
                for item in value:
                    first, *others = _lines(item, indent + "    ")
                    yield f"{indent}  - {first.lstrip()}"
                    yield from others
            case _:
                yield f"{indent}{text(key)}: {text(value)}"


def _quoted(word: str) -> str:
    def escaped(character: str) -> str:
        if character in '"\\':
            return f"\\{character}"
        return character if character.isprintable() else f"\\U{ord(character):08X}"

    return f'"{"".join(map(escaped, word))}"'


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    prefix = f"{path}." if path else ""
    match value:
        case dict() if value:
            for key, item in value.items():
                yield from _leaves(item, f"{prefix}{key}")
        case [dict(), *_]:
            for index, item in enumerate(value):
                yield from _leaves(item, f"{prefix}{index}")
        case _:
            yield path, value


def _unsigned_zeros(value: Any) -> Any:
    """Return −0.0 as 0.0 throughout: they are equal, and JSON tells them apart."""
    match value:
        case dict():
            return {key: _unsigned_zeros(item) for key, item in value.items()}
        case list():
            return [_unsigned_zeros(item) for item in value]
        case float():
            return value + 0.0
        case _:
            return value
