"""Which runs can be trained together as one program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mtctl.engine.spec import RunSpec
from mtctl.errors import MtctlError
from mtctl.machine import memory, size
from mtctl.problems.kinds import kind_of
from mtctl.problems.recipe import Recipe

_WITHOUT: Final = "train it without --stack: a process for each run"
_METHODS: Final = "the balancing methods"


def shape(recipe: Recipe) -> dict[str, Any]:
    """Return what runs of one program have in common, by dotted key, as JSON values.

    Methods may have other settings, but not other kinds: a program makes the backward passes that one of its
    runs asks for, for all.

    Raises:
        MtctlError: there is no such program for the recipe's problem.
    """
    kind = kind_of(recipe)
    if kind.stack is None:
        raise MtctlError(
            f"{recipe.name}: --stack does not train {kind.title}: {kind.no_stack}", hint=_WITHOUT
        )
    told = recipe.model_dump(mode="json")
    methods = [(method.kind, method.space, method.period) for method in recipe.chain]
    return {"problem.kind": kind.name, **{key: _at(told, key) for key in kind.stacked}, _METHODS: methods}


def _at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values[name]
    return values


def programs(specs: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Return runs in the programs that train them: those of one shape, in their order.

    Raises:
        MtctlError: some cannot be trained so, or a program needs more memory than this machine has.
    """
    found: list[tuple[dict[str, Any], list[RunSpec]]] = []
    for spec in specs:
        wanted = shape(spec.recipe)
        same = next((runs for known, runs in found if known == wanted), None)
        if same is None:
            found.append((wanted, [spec]))
        else:
            same.append(spec)
    for _, runs in found:
        _require_memory(runs)
    return [runs for _, runs in found]


def apart(one: Recipe, other: Recipe) -> list[str]:
    """Return what keeps two recipes out of one program: dotted keys, in backticks, or words."""
    first, second = shape(one), shape(other)
    keys = [key for key in first | second if first.get(key) != second.get(key)]
    return [key if key == _METHODS else f"`{key}`" for key in keys]


def _require_memory(runs: Sequence[RunSpec]) -> None:
    there = memory()
    needed = sum(part.count for spec in runs for part in spec.recipe.memory())
    if there is not None and needed > there:
        raise MtctlError(
            f"--stack: {len(runs)} runs of {runs[0].recipe.name} together would take {size(needed)}; this "
            f"machine has {size(there)}",
            hint="train fewer seeds at a time, or without --stack",
        )
