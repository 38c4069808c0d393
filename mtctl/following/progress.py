"""What is known about a run while it trains, from its records: observed here, or read from its file."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from mtctl.problems.kinds import kind_of
from mtctl.problems.recipe import Recipe

if TYPE_CHECKING:
    from mtctl.history import formats
    from mtctl.problems.score import Score

WINDOW: Final = 50
"""Episodes of a task that its running return and success rate are taken over."""


class TaskProgress:
    """One task's latest figures.

    Args:
        window: how many of its latest values the mean and the success rate are taken over.
        success: from which value an episode is a success; None if there is no such threshold.

    Attributes:
        history: every value: returns of episodes, or losses of epochs.
        score: mean of the latest evaluation.
        weight: mean over the latest unit's updates; so is `share`.
        share: of the weighted gradient.
    """

    def __init__(self, window: int, success: float | None) -> None:
        self._success = success
        self.history: list[float] = []
        self._recent: deque[float] = deque(maxlen=window)
        self.score: float | None = None
        self.weight: float | None = None
        self.share: float | None = None

    def add(self, value: float) -> None:
        self.history.append(value)
        self._recent.append(value)

    @property
    def mean(self) -> float | None:
        """Mean of the latest values."""
        return fmean(self._recent) if self._recent else None

    @property
    def success_rate(self) -> float | None:
        if not self._recent or self._success is None:
            return None
        return sum(value >= self._success for value in self._recent) / len(self._recent)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do.

    Args:
        name: of its recipe.
        seed: of the run.
        tasks: their names.
        unit: the name of a unit of training.
        units: how many there will be.
        score: what evaluations measure.
        is_played: whether units are episodes of one task each; if not, they are epochs of all tasks.
    """

    name: str
    seed: int
    tasks: tuple[str, ...]
    unit: str
    units: int
    score: Score | formats.Score
    is_played: bool

    @classmethod
    def of_recipe(cls, recipe: Recipe, seed: int) -> Plan:
        """Return the plan of a run that is about to start."""
        kind, tasks = kind_of(recipe), tuple(recipe.problem.tasks)
        return cls(recipe.name, seed, tasks, kind.unit, recipe.units, kind.score, kind.played)

    @classmethod
    def of_run(cls, run: formats.Run) -> Plan:
        """Return the plan of a run that is on disk."""
        return cls(run.name, run.seed, run.tasks, run.unit, run.budget.units, run.score, run.is_played)


class Progress:
    """A run's state as its records tell it; an observer of the engine.

    Args:
        plan: of the run.
        clock: seconds; replaced in tests.

    Attributes:
        steps: environment steps, or updates where nothing is played.
        evaluations: of each evaluation, the unit that it came after and its mean over tasks.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.seed = plan.name, plan.seed
        self.unit, self.units, self.score, self.is_played = plan.unit, plan.units, plan.score, plan.is_played
        window = WINDOW if self.is_played else 1
        self.tasks = {task: TaskProgress(window, self.score.success) for task in plan.tasks}
        self.done = 0
        self.updates = 0
        self.steps = 0
        self.epsilon: float | None = None
        self.evaluations: list[tuple[int, float]] = []
        self._clock = clock
        self._started = self._paced = clock()
        self._first: tuple[int, int] | None = None

    def unit_ended(self, record: dict[str, Any]) -> None:
        """Take in one line of metrics.jsonl."""
        if record["kind"] == "evaluation":
            self.evaluations.append((self.done, record["average"]))
            for task, scored in record["tasks"].items():
                self.tasks[task].score = scored["mean"]
            return
        signals = record["signals"]
        self.done, self.updates = record[self.unit], record["updates"]
        if self.is_played:
            self._take_episode(record)
        else:
            self._take_epoch(record)
        if self._first is None:
            # What came before took a time of its own: building the problem, a resumed run's past.
            self.measure_pace()
        if signals is not None:
            for name, task in self.tasks.items():
                task.weight = _latest(signals["weight"].get(name), task.weight)
                task.share = _latest(signals["gradient_share"].get(name), task.share)

    @property
    def evaluation(self) -> float | None:
        """Mean over tasks of the latest evaluation."""
        return self.evaluations[-1][1] if self.evaluations else None

    def _take_episode(self, record: dict[str, Any]) -> None:
        self.steps, self.epsilon = record["environment_steps"], record["epsilon"]
        self.tasks[record["task"]].add(record["return"])

    def _take_epoch(self, record: dict[str, Any]) -> None:
        self.steps = record["updates"]
        for task, loss in record["loss"].items():
            self.tasks[task].add(loss)

    def measure_pace(self) -> None:
        """Measure the pace from here on."""
        self._paced = self._clock()
        self._first = (self.done, self.steps)

    @property
    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def steps_per_second(self) -> float | None:
        """Environment steps (or updates) per second since the first record was seen."""
        seconds = self._clock() - self._paced
        if self._first is None or self.done == self._first[0] or seconds <= 0:
            return None
        return (self.steps - self._first[1]) / seconds

    @property
    def seconds_left(self) -> float | None:
        """Time left if units go on at the mean pace so far."""
        if self._first is None or self.done == self._first[0]:
            return None
        return (self._clock() - self._paced) / (self.done - self._first[0]) * (self.units - self.done)

    @property
    def average(self) -> float | None:
        """Mean over tasks of their running returns; None for losses, whose units differ."""
        if not self.is_played:
            return None
        means = [task.mean for task in self.tasks.values() if task.mean is not None]
        return fmean(means) if means else None


def _latest(new: float | None, old: float | None) -> float | None:
    return old if new is None else new


class Tail:
    """Feeds a progress from a metrics file that another process writes.

    Args:
        file: may not be there yet.
        progress: gets every record.
        read: turns a line into a record; ValueError where it is none.

    Attributes:
        lost: whether the file has become shorter than what was read, or is another one: the run has gone
            back to a checkpoint or begun anew, and what the progress holds is no longer its course.
    """

    def __init__(
        self, file: Path, progress: Progress, read: Callable[[bytes], dict[str, Any]] = json.loads
    ) -> None:
        self._file, self._progress, self._read, self._offset = file, progress, read, 0
        self._inode: int | None = None
        self.lost = False

    def follow(self) -> None:
        """Take in the complete lines that have come since the last call.

        Raises:
            ValueError, KeyError: a line is no record.
        """
        try:
            with self._file.open("rb") as file:
                found = os.fstat(file.fileno())
                self.lost = found.st_size < self._offset or self._inode not in (None, found.st_ino)
                if self.lost:
                    return
                self._inode = found.st_ino
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            self.lost = self._offset > 0
            return
        end = content.rfind(b"\n") + 1
        first, self._offset = not self._offset, self._offset + end
        for line in content[:end].splitlines():
            self._progress.unit_ended(self._read(line))
        if first and end:
            # What the file began with took a time that is not known.
            self._progress.measure_pace()
