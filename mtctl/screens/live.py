"""How one run is followed on screen: redrawn on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
from typing import Any, Final

from rich import live

from mtctl.balancing.gradnorm import GradNorm
from mtctl.following.progress import Progress
from mtctl.problems.recipe import Recipe
from mtctl.screens.train import line, run_screen
from mtctl.terminal.console import err

LINES: Final = 30
"""Lines that a run of one process prints, at most, where nothing is redrawn."""
LINES_OF_SEVERAL: Final = 15
"""Of each run where several print into one terminal."""
_SECONDS: Final = 0.25  # between two pictures


class Live:
    """Redraws the screen of one run a few times a second."""

    def __init__(self, progress: Progress, recipe: Recipe) -> None:
        self._progress, self._method, self._device = progress, method_of(recipe), recipe.device
        self._live = live.Live(console=err(), auto_refresh=False, transient=True)
        self._drawn = -1.0

    def __enter__(self) -> Live:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def unit_ended(self, _record: dict[str, Any]) -> None:
        if self._progress.elapsed - self._drawn >= _SECONDS:
            self._drawn = self._progress.elapsed
            self._live.update(run_screen(self._progress, self._method, self._device), refresh=True)


class Lines:
    """Prints a line every so many units."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._every = progress, units_per_line(progress)

    def unit_ended(self, record: dict[str, Any]) -> None:
        if record["kind"] != "evaluation" and self._progress.done % self._every == 0:
            err().print(line(self._progress), soft_wrap=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class Dues:
    """The lines that one of several runs prints as it goes.

    Args:
        progress: of the run.
        lines: how many there are in all, at most.
    """

    def __init__(self, progress: Progress, lines: int) -> None:
        self._every, self._at = units_per_line(progress, lines), 0

    def due(self, done: int) -> bool:
        """Say whether one has become due since the last call.

        Args:
            done: units so far; fewer than before in a run that has begun anew.
        """
        self._at = min(self._at, done - done % self._every)
        if done < self._at + self._every:
            return False
        self._at = done - done % self._every
        return True


def units_per_line(progress: Progress, lines: int = LINES) -> int:
    """Return how many units lie between two lines, if a run is to have no more than `lines`."""
    return math.ceil(progress.units / lines)


def method_of(recipe: Recipe) -> str:
    """Name the balancing methods for a headline."""
    names = {"gradnorm": "GradNorm", "pcgrad": "PCGrad", "cagrad": "CAGrad"}
    parts = []
    for method in recipe.chain:
        kind = method.kind
        setting = f" α={method.alpha:g}" if isinstance(method, GradNorm) else ""
        parts.append(names.get(kind, kind) + setting)
    return " → ".join(parts)
