from __future__ import annotations

import json
from typing import Any

import pytest

from mtctl.problems.kinds import KINDS
from mtctl.recipes import builtin
from mtctl.recipes.schema import schema, schema_text

FAMILIES = dict(zip(KINDS, schema()["anyOf"], strict=True))


def test_the_exported_file_is_fresh() -> None:
    exported = (builtin.folder() / "schema.json").read_text(encoding="utf-8")
    assert exported == schema_text(), "run `mtctl recipes schema > recipes/schema.json`"


@pytest.mark.parametrize("kind", KINDS)
def test_a_family_knows_the_loader_s_own_key_and_all_of_the_recipe_s(kind: str) -> None:
    family = FAMILIES[kind]
    assert list(family["properties"]) == ["extends", *KINDS[kind].recipe.model_fields]
    assert family["additionalProperties"] is False


@pytest.mark.parametrize(
    ("kind", "required"),
    [
        ("lander", ["name", "problem", "balancer", "agent"]),
        ("windows", ["name", "problem", "balancer", "model"]),
        ("python", ["name", "problem", "balancer"]),
        ("hybrid", ["name", "problem", "balancer"]),
    ],
)
def test_only_a_file_that_extends_nothing_needs_all_keys(kind: str, required: list[str]) -> None:
    first, second = FAMILIES[kind]["anyOf"]
    assert first == {"required": ["extends"]}
    assert set(second["required"]) == set(required)
    assert not any("required" in part for part in schema()["$defs"].values())


def test_families_are_told_apart_by_what_they_alone_have() -> None:
    lander, windows, python, hybrid = (set(family["properties"]) for family in FAMILIES.values())
    assert lander - windows == {"agent"}
    assert windows - lander == {"model", "training"}
    assert windows - python == {"model"}
    assert hybrid - lander == {"training"}
    assert lander < hybrid
    assert python < windows  # so that `problem.kind` must say which it is


def test_every_field_is_explained_or_its_part_is() -> None:
    parts: dict[str, Any] = schema()["$defs"]
    assert {
        "GradNorm",
        "DQNAgent",
        "LanderProblem",
        "WindowsProblem",
        "PythonProblem",
        "SequenceModel",
    } <= parts.keys()
    assert all(part["description"] for part in parts.values())
    assert all(family["description"] for family in FAMILIES.values())
    assert parts["GradNorm"]["properties"]["alpha"]["description"].startswith("Strength of the pull")


def test_every_key_is_explained() -> None:
    parts = {**schema()["$defs"], **FAMILIES}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, value in part.get("properties", {}).items()
        if not value.get("description") and not parts.get(value.get("$ref", "").rpartition("/")[2])
    ]
    assert silent == []


def test_every_reference_leads_somewhere() -> None:
    named = {
        word.rpartition("/")[2] for word in json.dumps(schema()).split('"') if word.startswith("#/$defs/")
    }
    assert named == schema()["$defs"].keys()


def test_it_is_json() -> None:
    assert json.loads(schema_text()) == schema()
