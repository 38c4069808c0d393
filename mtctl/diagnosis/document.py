"""A diagnosis for other programs: one JSON document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from mtctl.diagnosis.report import Diagnosis

SCHEMA: Final = 1
"""Version of the JSON document; goes up when a key changes its meaning or goes away."""


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as JSON values: `schema`, then every field under its own name.

    Sequences are lists, and a number that is not finite is null: JSON has none.
    """
    return {"schema": SCHEMA, **_plain(diagnosis)}


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case None | bool() | str() | int():
            return value
        case float():
            return float(value) if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case _ if is_dataclass(value):
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case _:
            raise TypeError(f"a diagnosis holds plain data only, not {type(value).__name__}")
