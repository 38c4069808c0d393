"""Recipes from files: `extends:`, overrides, and the models' verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mtctl.errors import MtctlError
from mtctl.recipes.recipe import Recipe

BUILTIN = Path(__file__).parents[2] / "recipes"


def load(reference: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a file or of a built-in name, after `extends:` and `key.path=value` overrides."""
    path = Path(reference)
    if not path.is_file():
        path = BUILTIN / f"{reference}.yaml"
    if not path.is_file():
        raise MtctlError(f"{reference}: no such recipe")
    data = _tree(path)
    for override in overrides:
        dotted, _, value = override.partition("=")
        place = data
        *parents, last = dotted.split(".")
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = _numbers(yaml.safe_load(value))
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise MtctlError(f"{path} is not a valid recipe: {error}") from None


def _tree(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = _numbers(yaml.safe_load(path.read_text()))
    parent = data.pop("extends", None)
    return data if parent is None else _merge(_tree(path.parent / parent), data)


def _merge(parent: Any, child: Any) -> Any:
    if not isinstance(parent, dict) or not isinstance(child, dict):
        return child
    return {**parent, **{key: _merge(parent.get(key), value) for key, value in child.items()}}


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str) and "e-" in value:
        return float(value)
    return value


def dump(recipe: Recipe) -> str:
    """Return the recipe as YAML text that loads back to an equal recipe."""
    return json.dumps(recipe.model_dump(mode="json"), indent=2) + "\n"


def recipe_hash(recipe: Recipe) -> str:
    """Return the SHA-256 of the recipe's canonical JSON."""
    return hashlib.sha256(json.dumps(recipe.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def differences(a: Recipe, b: Recipe) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, value in a, value in b) of every field that differs."""
    left, right = _flat(a.model_dump(mode="json")), _flat(b.model_dump(mode="json"))
    keys = [*left, *(key for key in right if key not in left)]
    return [(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        dotted: leaf
        for key, item in value.items()
        for dotted, leaf in _flat(item, f"{prefix}.{key}" if prefix else key).items()
    }
