"""How much memory a recipe takes at least, from its shapes, against what this machine has.

Only what a run certainly holds at one time is counted, so that a recipe that fits is never refused; the
processes' own some hundred megabytes, and what operations need inside themselves, come on top. Where it is
decided how many runs there can be at a time, these count too.
"""

from __future__ import annotations

from typing import Final

from mtctl.errors import MtctlError
from mtctl.machine import available, memory, peak, size
from mtctl.problems.amounts import Amount
from mtctl.problems.recipe import Recipe

_NAMED: Final = 0.1
"""Share of the whole from which on a part is named."""
PROCESS: Final = 8e8
"""Bytes that a process that trains takes beside what is counted of its recipe: peaks of 0.29 GB (lander) to
0.51 GB (windows) were measured, and 0.81 GB for `brc`, the largest built-in recipe. (PyTorch 2.13, Linux)"""


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


def of_process(recipe: Recipe) -> float:
    """Return the bytes that a process is likely to take that trains a recipe.

    Of a model of the user's only the code knows: it takes no less than this process so far, which has run it.
    """
    return max(PROCESS, peak() or 0) + sum(part.count for part in recipe.memory())


def _sentence(parts: list[Amount]) -> str:
    whole = sum(part.count for part in parts)
    what = {part.key: part.what for part in reversed(parts)}
    takes = {key: sum(part.count for part in parts if part.key == key) for key in what}
    named = sorted((key for key in what if takes[key] > _NAMED * whole), key=lambda key: -takes[key])
    found = [f"{key}: {what[key]} would take {size(takes[key])}" for key in named]
    return found[0] if len(found) == 1 else f"{', '.join(found)}: {size(whole)} together"
