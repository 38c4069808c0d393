"""What is known about a run while it trains, from its records: observed here, or read from its file."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import msgspec

from mtctl.engine import layout
from mtctl.history.decoding import decode_records, foreign_task
from mtctl.history.records import RECORDS, EvaluationRecord, Record, UnitRecord
from mtctl.history.schema2 import upgraded_lines
from mtctl.problems.kinds import kind_of
from mtctl.problems.recipe import Recipe

if TYPE_CHECKING:
    from mtctl.history import formats
    from mtctl.problems.score import Figures, Score


class TaskProgress:
    """One task's latest figures.

    Args:
        window: how many of its latest values the mean and the success rate are taken over.
        score: whose threshold of success the values are held against; None if they are no scores.

    Attributes:
        history: every value of the figure that tasks are followed by.
        score: mean of the latest evaluation.
        weight: mean over the latest unit's updates; so is `share`.
        share: of the weighted gradient.
    """

    def __init__(self, window: int, score: Score | formats.RecordedScore | None) -> None:
        self._score = score
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
        """Share of the latest values that reach the score's threshold; None where there is none."""
        if not self._recent or self._score is None or self._score.success is None:
            return None
        return sum(map(self._score.succeeds, self._recent)) / len(self._recent)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do.

    Args:
        name: of its recipe.
        seed: of the run.
        tasks: names of what is balanced.
        scored: those that evaluations score, and that the figure is of.
        unit: the name of a unit of training.
        units: how many there will be.
        score: what evaluations measure.
        figures: what the records of units say of the tasks.
        is_played: whether environment steps are counted; else updates are.
    """

    name: str
    seed: int
    tasks: tuple[str, ...]
    scored: tuple[str, ...]
    unit: str
    units: int
    score: Score | formats.RecordedScore
    figures: Figures | formats.RecordedFigures
    is_played: bool

    @classmethod
    def of_recipe(cls, recipe: Recipe, seed: int) -> Plan:
        """Return the plan of a run that is about to start."""
        kind, tasks = kind_of(recipe), tuple(recipe.problem.tasks)
        of_kind = kind.unit, recipe.units, kind.score, kind.figures, kind.played
        return cls(recipe.name, seed, tasks, recipe.scored, *of_kind)

    @classmethod
    def of_run(cls, run: formats.Run) -> Plan:
        """Return the plan of a run that is on disk."""
        return cls(
            run.name,
            run.seed,
            run.tasks,
            run.scored,
            run.unit,
            run.budget.units,
            run.score,
            run.figures,
            run.is_played,
        )


class Progress:
    """A run's state as its records tell it; an observer of the engine.

    Args:
        plan: of the run.
        clock: seconds; replaced in tests.

    Attributes:
        tasks: what is balanced, and what else is scored, by name.
        scored: those that the figure is of.
        figure: the name of what tasks are followed by.
        is_scored: whether that is the score itself: it has a threshold of success, and a mean over tasks.
        steps: environment steps, or updates where nothing is played.
        extra: the latest figures of units as a whole, by name; None where there was none yet.
        evaluations: of each evaluation, the unit that it came after and its mean over tasks.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.seed = plan.name, plan.seed
        self.unit, self.units, self.score, self.is_played = plan.unit, plan.units, plan.score, plan.is_played
        self.figure, self.is_scored = plan.figures.followed, plan.figures.followed == plan.score.name
        score = plan.score if self.is_scored else None
        self.scored = plan.scored
        self.tasks = {task: TaskProgress(plan.figures.window, score) for task in (*plan.tasks, *plan.scored)}
        self.done = 0
        self.updates = 0
        self.steps = 0
        self.extra: dict[str, float | None] = dict.fromkeys(plan.figures.extra)
        self.evaluations: list[tuple[int, float]] = []
        self._clock = clock
        self._started = self._paced = clock()
        self._first: tuple[int, int] | None = None

    def unit_ended(self, record: dict[str, Any]) -> None:
        """Take in what an observer of the engine sees: one line of metrics.jsonl."""
        typed: Record = msgspec.convert(record, Record)
        self.take(typed)

    def take(self, record: Record) -> None:
        """Take in one record."""
        if isinstance(record, EvaluationRecord):
            self.evaluations.append((self.done, record.average))
            for task, scored in record.tasks.items():
                self.tasks[task].score = scored.mean
            return
        self._take_unit(record)
        if self._first is None:
            # What came before took a time of its own: building the problem, a resumed run's past.
            self.measure_pace()

    def _take_unit(self, record: UnitRecord) -> None:
        self.done, self.updates = record.unit, record.updates
        self.steps = record.updates if record.environment_steps is None else record.environment_steps
        self.extra |= record.extra
        for name, figures in record.tasks.items():
            if isinstance(value := figures.get(self.figure), float | int):
                self.tasks[name].add(value)
        weights, shares = record.by_name("weight"), record.by_name("gradient_share")
        for name, task in self.tasks.items():
            task.weight = _latest(weights.get(name), task.weight)
            task.share = _latest(shares.get(name), task.share)

    @property
    def evaluation(self) -> float | None:
        """Mean over tasks of the latest evaluation."""
        return self.evaluations[-1][1] if self.evaluations else None

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
        """Mean over tasks of their running scores; None for other figures, whose units differ."""
        if not self.is_scored:
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
        schema: of the file.

    Attributes:
        lost: whether the file has become shorter than what was read, or is another one: the run has gone
            back to a checkpoint or begun anew, and what the progress holds is no longer its course.
    """

    def __init__(self, file: Path, progress: Progress, schema: int = layout.SCHEMA) -> None:
        self._file, self._progress, self._schema = file, progress, schema
        self._offset = self._lines = 0
        self._inode: int | None = None
        self.lost = False

    def follow(self) -> None:
        """Take in the complete lines that have come since the last call.

        Raises:
            MtctlError: a line is no record, or of a task that the run does not have.
        """
        try:
            with self._file.open("rb") as file:
                state = os.fstat(file.fileno())
                self.lost = state.st_size < self._offset or self._inode not in (None, state.st_ino)
                if self.lost:
                    return
                self._inode = state.st_ino
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            self.lost = self._offset > 0
            return
        lines = content[: content.rfind(b"\n") + 1]
        first, before = not self._offset, self._lines
        self._offset, self._lines = self._offset + len(lines), before + lines.count(b"\n")
        current = lines if self._schema == layout.SCHEMA else upgraded_lines(lines)
        for number, record in enumerate(decode_records(current, self._file, RECORDS, first=before + 1)):
            if foreign := record.tasks.keys() - self._progress.tasks.keys():
                raise foreign_task(self._file, before + number + 1, min(foreign))
            self._progress.take(record)
        if first and lines:
            # What the file began with took a time that is not known.
            self._progress.measure_pace()
