from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mtctl.diagnosis import report
from mtctl.diagnosis.document import SCHEMA, document
from tests.diagnosis.experiments.documented import diagnosis


def classes_of(value: Any) -> set[type]:
    """Return the dataclasses that a value is made of."""
    if is_dataclass(value):
        parts = [getattr(value, field.name) for field in fields(value)]
        return {type(value)}.union(*map(classes_of, parts))
    parts = (
        list(value.values())
        if isinstance(value, Mapping)
        else list(value)
        if isinstance(value, tuple)
        else []
    )
    return set().union(*map(classes_of, parts))


def assert_covers(value: Any, found: Any) -> None:
    """Compare a document with what it was made of, field by field."""
    if is_dataclass(value):
        assert list(found) == [field.name for field in fields(value)]
        for name in found:
            assert_covers(getattr(value, name), found[name])
    elif isinstance(value, Mapping):
        assert list(found) == list(value)
        for name in found:
            assert_covers(value[name], found[name])
    elif isinstance(value, tuple):
        assert len(found) == len(value)
        for part, other in zip(value, found, strict=True):
            assert_covers(part, other)
    else:
        assert found == value


def test_every_field_is_there_and_comes_back_from_json() -> None:
    whole = diagnosis()
    found = document(whole)
    assert found.pop("schema") == SCHEMA == 1
    assert_covers(whole, found)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    made_of = {each.__name__ for each in classes_of(whole)}
    declared = {name for name, each in vars(report).items() if is_dataclass(each)}
    assert declared | {"Interval"} == made_of, "the sample has to hold every dataclass of a diagnosis"


def test_what_is_not_finite_is_null() -> None:
    whole = diagnosis()
    state = replace(whole.states[0], first=float("nan"), change=float("-inf"), measures={"mae": float("inf")})
    found = document(replace(whole, states=(state,)))["states"][0]
    assert (found["first"], found["change"], found["measures"]) == (None, None, {"mae": None})
    json.dumps(found, allow_nan=False)


def test_what_is_not_plain_is_refused() -> None:
    whole = diagnosis()
    with pytest.raises(TypeError, match="not PosixPath"):
        document(replace(whole, stuck=Path("x")))  # type: ignore[arg-type]
