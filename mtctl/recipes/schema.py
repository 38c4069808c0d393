"""The JSON schema of a recipe file, for editors: completion, hover texts and red underlines while writing."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic.json_schema import models_json_schema

from mtctl.problems.kinds import KINDS
from mtctl.problems.recipe import Recipe

_EXTENDS = {
    "type": "string",
    "description": "The recipe that this one changes: a path relative to this file, or a built-in name.",
}
_KIND = "Which of the alternatives stands here."


def schema() -> dict[str, Any]:
    """Return the schema. Only a file that extends no other must have all the keys that a recipe needs."""
    models: list[tuple[type[Recipe], Literal["validation"]]] = [
        (kind.recipe, "validation") for kind in KINDS.values()
    ]
    _, document = models_json_schema(models)
    for part in document["$defs"].values():
        if kind := part.get("properties", {}).get("kind"):
            kind.setdefault("description", _KIND)
    families = []
    for family, _ in models:
        one = document["$defs"].pop(family.__name__)
        required = one["required"]
        one = _for_parts(one)
        one["properties"] = {"extends": _EXTENDS, **one["properties"]}
        one["anyOf"] = [{"required": ["extends"]}, {"required": required}]
        families.append(one)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mtctl recipe",
        "$defs": _for_parts(document["$defs"]),
        "anyOf": families,
    }


def schema_text() -> str:
    """Return the schema as the text of `recipes/schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _for_parts(value: Any) -> Any:
    """Return a schema that also accepts parts whose other keys, even `kind`, stand in the parent recipe."""
    match value:
        case {"oneOf": choices}:
            rest = {key: item for key, item in value.items() if key not in ("oneOf", "discriminator")}
            return _for_parts({**rest, "anyOf": choices})
        case {"type": "object", "required": list()}:
            return _for_parts({key: item for key, item in value.items() if key != "required"})
        case dict():
            return {key: _for_parts(item) for key, item in value.items()}
        case list():
            return [_for_parts(item) for item in value]
        case _:
            return value
