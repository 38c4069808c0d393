"""How much memory a recipe takes at least, from its shapes, against what this machine has.

Only what a run certainly holds at one time is counted, so that a recipe that fits is never refused; the
processes' own some hundred megabytes, and what operations need inside themselves, come on top.
"""

from __future__ import annotations

from typing import Final

from mtctl.errors import MtctlError
from mtctl.machine import available, memory, size
from mtctl.problems.amounts import Amount
from mtctl.problems.recipe import Recipe

_NAMED: Final = 0.1
"""Share of the whole from which on a part is named."""


def require_memory(recipe: Recipe) -> None:
    """Refuse a recipe that takes more memory than this machine has, before any of it is asked for.

    Raises:
        MtctlError: names the settings that take it, and the figures.
    """
    there, parts = memory(), list(recipe.memory())
    if there is not None and sum(part.count for part in parts) > there:
        raise MtctlError(
            f"{recipe.name}: {_sentence(parts)}; this machine has {size(there)}",
            hint="lower these settings, or train on a machine with more memory",
        )


def doubt(recipe: Recipe) -> str | None:
    """Return what to know where a run takes more memory than is free at the moment; None if it takes less."""
    free, parts = available(), list(recipe.memory())
    if free is None or sum(part.count for part in parts) <= free:
        return None
    return f"{recipe.name}: {_sentence(parts)}, and {size(free)} are free at the moment"


def _sentence(parts: list[Amount]) -> str:
    whole = sum(part.count for part in parts)
    what = {part.key: part.what for part in reversed(parts)}
    takes = {key: sum(part.count for part in parts if part.key == key) for key in what}
    named = sorted((key for key in what if takes[key] > _NAMED * whole), key=lambda key: -takes[key])
    found = [f"{key}: {what[key]} would take {size(takes[key])}" for key in named]
    return found[0] if len(found) == 1 else f"{', '.join(found)}: {size(whole)} together"
