from __future__ import annotations

import json
from typing import Any

from mtctl.recipes import builtin
from mtctl.recipes.recipe import Recipe
from mtctl.recipes.schema import schema, schema_text


def test_the_exported_file_is_fresh() -> None:
    exported = (builtin.folder() / "schema.json").read_text(encoding="utf-8")
    assert exported == schema_text(), "run `mtctl recipes schema > recipes/schema.json`"


def test_it_knows_the_loader_s_own_key_and_all_of_the_recipe_s() -> None:
    assert list(schema()["properties"]) == ["extends", *Recipe.model_fields]
    assert schema()["additionalProperties"] is False


def test_only_a_file_that_extends_nothing_needs_all_keys() -> None:
    assert schema()["anyOf"] == [
        {"required": ["extends"]},
        {"required": ["name", "problem", "agent", "balancer"]},
    ]
    assert not any("required" in part for part in schema()["$defs"].values())


def test_every_field_is_explained_or_its_part_is() -> None:
    parts: dict[str, Any] = schema()["$defs"]
    assert {"GradNorm", "DQNAgent", "LanderProblem"} <= parts.keys()
    assert all(part["description"] for part in parts.values())
    assert parts["GradNorm"]["properties"]["alpha"]["description"].startswith("Strength of the pull")


def test_it_is_json() -> None:
    assert json.loads(schema_text()) == schema()
