"""The formats of a run directory's files, as `mtctl.engine.layout` defines them, for those who read."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from mtctl.history.documents import Checked, Count, Label, Number
from mtctl.problems.kinds import LOOP

Status = Literal["running", "completed", "interrupted", "failed"]
Positive = Annotated[int, Field(ge=1, le=2**63 - 1)]
Tasks = Annotated[tuple[Label, ...], Field(min_length=1, strict=False)]
Numbers = Annotated[tuple[Number, ...], Field(strict=False)]
Counts = Annotated[tuple[Count, ...], Field(strict=False)]
Labels = Annotated[tuple[Label, ...], Field(strict=False)]
Measures = dict[Label, Number]
"""Figures in a task's own units, by name."""


class RecordedScore(Checked):
    """What an evaluation measures, which direction is better, and what counts as success (None: nothing)."""

    name: Label
    higher_is_better: bool
    success: Number | None
    outcomes: Labels
    """How an item can end, in the order of tables."""

    def succeeds(self, value: float) -> bool:
        """Say whether a score reaches the threshold of success; False where there is none."""
        return self.count_successes((value,)) > 0

    def count_successes(self, values: Iterable[float]) -> int:
        """Return how many scores reach the threshold of success; 0 where there is none."""
        if self.success is None:
            return 0
        reaches = operator.ge if self.higher_is_better else operator.le
        return sum(map(reaches, values, repeat(self.success)))


class RecordedFigures(Checked):
    """What the records of units say of each task; see `mtctl.problems.contract.Figures`."""

    followed: Label
    window: Positive
    ending: Label | None
    extra: Labels


class Parameters(Checked):
    """Trainable numbers: in all, of those shared between tasks, and the balancing method's own."""

    total: Count
    shared: Count
    balancer: Count = 0


class Budget(Checked):
    """What was asked for (`units`) and what has been spent; no environment steps where nothing is played."""

    units: Positive
    done: Count
    environment_steps: Count | None
    updates: Count
    samples_per_update: Count


class Seconds(Checked):
    """Wall-clock seconds."""

    total: Annotated[Number, Field(ge=0)]
    training: Annotated[Number, Field(ge=0)]
    evaluation: Annotated[Number, Field(ge=0)]


class Failure(Checked):
    """Why a run failed; of one that diverged, also which task had what, and where in the run."""

    message: str
    kind: Label = "error"
    task: Label | None = None
    found: Label | None = None
    place: Label | None = None


class RecordedTuning(Checked):
    """What a recipe declares of its tuning: how many runs it took (None: not counted), and what was tuned."""

    runs: Count | None
    note: Label | None


class RecordedFault(Checked):
    """What was certainly wrong with a loop of one's own, seen while it trained."""

    code: Label
    task: Label | None
    text: Label


class RunDocument(Checked):
    """run.json: who, what, how far, how long."""

    schema_number: Count = Field(alias="schema")
    """Of the files that lie beside it too."""
    status: Status
    name: Label
    seed: Count
    command: str
    recipe_hash: Label
    problem: Label
    tasks: Tasks
    scored: Tasks
    """What evaluations score: the tasks, or what they achieve together. Runs of before it was kept: the
    tasks."""
    score: RecordedScore
    figures: RecordedFigures
    definition: dict[str, JsonValue]
    definition_hash: Label
    parameters: Parameters
    unit: Label
    item: Label
    budget: Budget
    seconds: Seconds
    versions: dict[str, str | None]
    peak_memory_mb: Number | None = None
    started: str | None = None
    ended: str | None = None
    error: Failure | None = None
    tuning: RecordedTuning | None = None
    faults: Annotated[tuple[RecordedFault, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _tasks_are_scored(cls, document: Any) -> Any:
        if isinstance(document, dict) and "tasks" in document:
            return {"scored": document["tasks"], **document}
        return document

    @field_validator("tasks", "scored")
    @classmethod
    def _tasks_are_distinct(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(tasks)) < len(tasks):
            raise ValueError("a task is listed twice")
        return tasks


class Run(RunDocument):
    """A run, and the directory it was found in, written as the user did."""

    path: Path

    @property
    def is_loop(self) -> bool:
        """Say whether a loop of one's own recorded it: mtctl can neither continue nor evaluate it."""
        return self.problem == LOOP

    @property
    def is_played(self) -> bool:
        """Say whether training and evaluation play episodes, which can be shown."""
        return self.budget.environment_steps is not None


class TaskScores(Checked):
    """One task's evaluation, item by item in the order of the held-out list."""

    scores: Numbers
    steps: Counts | None
    outcomes: Labels | None
    measures: Measures
    """Over all items together."""

    def first(self, items: int) -> TaskScores:
        """Return the first items of the list, without what is known of all of them together only."""
        return TaskScores.model_construct(
            scores=self.scores[:items],
            steps=None if self.steps is None else self.steps[:items],
            outcomes=None if self.outcomes is None else self.outcomes[:items],
            measures={},
        )


class Evaluation(Checked):
    """eval.json: scores on a published list of seeds, or on windows that training never sees.

    Args:
        checkpoint: which weights were evaluated.
        done: units of training these weights have behind them.
        seeds: the name of the list.
        items: how many of each task: the list's first ones. A task may have fewer: rows without a target.
        definition_hash: the tasks and rules that were in force.
        tasks: the scores by task.
    """

    checkpoint: Label
    done: Count
    seeds: Label
    items: Positive
    definition_hash: Label
    tasks: Annotated[dict[Label, TaskScores], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_entry_per_item(self) -> Self:
        most = max(len(task.scores) for task in self.tasks.values())
        for name, task in self.tasks.items():
            columns = {"scores": task.scores, "steps": task.steps, "outcomes": task.outcomes}
            played = task.steps is not None or task.outcomes is not None
            for column, values in columns.items():
                if values is None or len(values) == self.items:
                    continue
                if played or most != self.items or not values:
                    raise ValueError(
                        f"{self.items} items are announced, and task {name} has {len(values)} {column}"
                    )
        return self
