"""What is known about a run while it trains, from its records: observed here, or read from its file."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from mtctl.problems.lander.environments import SOLVED
from mtctl.recipes.recipe import Recipe

WINDOW: Final = 50
"""Episodes of a task that its running return and success rate are taken over."""


class TaskProgress:
    """One task's latest episodes and signals."""

    def __init__(self, success: float) -> None:
        self._success = success
        self.history: list[float] = []
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self.weight: float | None = None
        self.share: float | None = None

    def add(self, value: float) -> None:
        self.history.append(value)
        self._recent.append(value)

    @property
    def mean(self) -> float | None:
        """Mean return of the last episodes."""
        return fmean(self._recent) if self._recent else None

    @property
    def success_rate(self) -> float | None:
        if not self._recent:
            return None
        return sum(value >= self._success for value in self._recent) / len(self._recent)


class Progress:
    """A run's state as its records tell it; an observer of the engine.

    Args:
        recipe: of the run.
        seed: of the run.
        clock: seconds; replaced in tests.
    """

    def __init__(self, recipe: Recipe, seed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.seed, self.units = recipe.name, seed, recipe.problem.episodes
        self.tasks = {task: TaskProgress(SOLVED) for task in recipe.problem.tasks}
        self.done = 0
        self.updates = 0
        self.steps = 0
        self.epsilon: float | None = None
        self.evaluation: float | None = None
        self._clock = clock
        self._started = clock()
        self._first: tuple[int, int] | None = None

    def unit_ended(self, record: dict[str, Any]) -> None:
        """Take in one line of metrics.jsonl."""
        if record["kind"] == "evaluation":
            self.evaluation = record["average"]
            return
        if self._first is None:
            self._first = (record["episode"] - 1, record["environment_steps"] - record["steps"])
        self.done, self.steps = record["episode"], record["environment_steps"]
        self.updates, self.epsilon = record["updates"], record["epsilon"]
        self.tasks[record["task"]].add(record["return"])
        signals = record["signals"]
        if signals is not None:
            for name, task in self.tasks.items():
                task.weight = _latest(signals["weight"].get(name), task.weight)
                task.share = _latest(signals["gradient_share"].get(name), task.share)

    def measure_pace(self) -> None:
        """Measure the pace from here on."""
        self._started = self._clock()
        self._first = (self.done, self.steps)

    @property
    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def steps_per_second(self) -> float | None:
        """Environment steps per second since this process began to watch."""
        if self._first is None or self.elapsed <= 0:
            return None
        return (self.steps - self._first[1]) / self.elapsed

    @property
    def seconds_left(self) -> float | None:
        """Time left if episodes go on at the mean pace so far."""
        if self._first is None or self.done == self._first[0]:
            return None
        return self.elapsed / (self.done - self._first[0]) * (self.units - self.done)

    @property
    def average(self) -> float | None:
        """Mean over tasks of their running returns."""
        means = [task.mean for task in self.tasks.values() if task.mean is not None]
        return fmean(means) if means else None


def _latest(new: float | None, old: float | None) -> float | None:
    return old if new is None else new


class Tail:
    """Feeds a progress from a metrics file that another process writes."""

    def __init__(self, file: Path, progress: Progress) -> None:
        self._file, self._progress, self._offset = file, progress, 0

    def follow(self) -> None:
        """Take in the complete lines that have come since the last call."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return
        end = content.rfind(b"\n") + 1
        first, self._offset = not self._offset, self._offset + end
        for line in content[:end].splitlines():
            self._progress.unit_ended(json.loads(line))
        if first and end:
            # What the file began with took a time that is not known: a resumed run's past, a process's start.
            self._progress.measure_pace()
