"""Values of a recipe changed by dotted key: what `-o KEY=VALUE` does to text, done to values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mtctl.errors import MtctlError

Changes = Mapping[str, Any]
"""New values by dotted key; an index is the key of a list's entry: {"balancer.0.every": 2}. JSON values."""


def changed(values: Any, changes: Changes) -> Any:
    """Return JSON values with changes made, outer keys before inner ones.

    A mapping is laid over the one that is there, unless its `kind` selects another part; any other value
    takes the place of the one that is there.

    Raises:
        MtctlError: a key leads into a value that holds no such key.
    """
    for key in sorted(changes, key=lambda key: key.count(".")):
        values = _with(values, key.split("."), changes[key], key)
    return values


def _with(values: Any, keys: Sequence[str], value: Any, dotted: str) -> Any:
    if not keys:
        return _laid_over(values, value)
    key, *rest = keys
    match values:
        case list() if key.isdecimal() and int(key) < len(values):
            place = int(key)
            return [*values[:place], _with(values[place], rest, value, dotted), *values[place + 1 :]]
        case dict() | None:
            values = values or {}
            return {**values, key: _with(values.get(key), rest, value, dotted)}
        case _:
            raise MtctlError(f"`{dotted}`: there is no `{key}` here", hint=f"here is {values!r:.60}")


def _laid_over(before: Any, after: Any) -> Any:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    if after.get("kind", before.get("kind")) != before.get("kind"):
        return after
    return {**before, **{key: _laid_over(before.get(key), value) for key, value in after.items()}}
