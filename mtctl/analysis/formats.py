"""The formats of a run directory's files, as `mtctl.engine.layout` defines them, for those who read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from mtctl.analysis.documents import Checked, Count, Label, Number

Status = Literal["running", "completed", "interrupted", "failed"]
Outcome = Literal["landed", "crashed", "timed_out"]
Positive = Annotated[int, Field(ge=1, le=2**63 - 1)]
Tasks = Annotated[tuple[Label, ...], Field(min_length=1, strict=False)]
Numbers = Annotated[tuple[Number, ...], Field(strict=False)]


class Score(Checked):
    """What an evaluation measures, which direction is better, and what counts as success (None: nothing)."""

    name: Label
    higher_is_better: bool
    success: Number | None

    def succeeds(self, value: float) -> bool:
        """Say whether a score reaches the threshold of success; False where there is none."""
        if self.success is None:
            return False
        return value >= self.success if self.higher_is_better else value <= self.success


class Parameters(Checked):
    """Trainable numbers: in all, of those shared between tasks, and the balancing method's own."""

    total: Count
    shared: Count
    balancer: Count = 0


class Budget(Checked):
    """What was asked for (`units`) and what has been spent."""

    units: Positive
    done: Count
    environment_steps: Count
    updates: Count
    samples_per_update: Count


class Seconds(Checked):
    """Wall-clock seconds."""

    total: Annotated[Number, Field(ge=0)]
    training: Annotated[Number, Field(ge=0)]
    evaluation: Annotated[Number, Field(ge=0)]


class Failure(Checked):
    """Why a run failed."""

    message: str


class RunDocument(Checked):
    """run.json: who, what, how far, how long."""

    status: Status
    name: Label
    seed: Count
    command: str
    recipe_hash: Label
    problem: Label
    tasks: Tasks
    score: Score
    definition: dict[str, JsonValue]
    definition_hash: Label
    parameters: Parameters
    unit: Label
    budget: Budget
    seconds: Seconds
    versions: dict[str, str | None]
    peak_memory_mb: Number | None = None
    started: str | None = None
    ended: str | None = None
    error: Failure | None = None

    @field_validator("tasks")
    @classmethod
    def _tasks_are_distinct(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(tasks)) < len(tasks):
            raise ValueError("a task is listed twice")
        return tasks


class Run(RunDocument):
    """A run, and the directory it was found in, written as the user did."""

    path: Path


class TaskScores(Checked):
    """One task's held-out episodes, in the order of the seed list."""

    returns: Numbers
    steps: Annotated[tuple[Count, ...], Field(strict=False)]
    outcomes: Annotated[tuple[Outcome, ...], Field(strict=False)]

    def first(self, episodes: int) -> TaskScores:
        """Return the first episodes of the seed list."""
        return TaskScores.model_construct(
            returns=self.returns[:episodes], steps=self.steps[:episodes], outcomes=self.outcomes[:episodes]
        )


class Evaluation(Checked):
    """eval.json: greedy episodes on a published list of seeds.

    Args:
        checkpoint: which weights were evaluated.
        done: units of training these weights have behind them.
        seeds: the name of the seed list.
        episodes: episodes of each task: the list's first ones.
        definition_hash: the tasks and rules that were in force.
        tasks: the episodes by task.
    """

    checkpoint: Label
    done: Count
    seeds: Label
    episodes: Positive
    definition_hash: Label
    tasks: Annotated[dict[Label, TaskScores], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_entry_per_episode(self) -> Self:
        for name, task in self.tasks.items():
            lengths = len(task.returns), len(task.steps), len(task.outcomes)
            if lengths != (self.episodes,) * 3:
                raise ValueError(
                    f"{self.episodes} episodes are announced, and task {name} has {lengths[0]} returns, "
                    f"{lengths[1]} steps and {lengths[2]} outcomes"
                )
        return self


PerTask = dict[Label, Number | None]
"""A value for each task; None where the task was absent."""


class SignalMeans(Checked):
    """What balancing showed, as means over an episode's updates."""

    updates: Count
    loss: PerTask
    weight: PerTask
    gradient_norm: PerTask
    gradient_share: PerTask
    cosine: PerTask
    """By pair of tasks, "standard|windy"."""
    conflict_rate: Number | None


class EpisodeRecord(Checked):
    """One training episode."""

    kind: Literal["episode"]
    episode: Positive
    task: Label
    episode_return: Annotated[Number, Field(alias="return")]
    """Undiscounted."""
    steps: Count
    outcome: Outcome
    epsilon: Number
    environment_steps: Count
    updates: Count
    signals: SignalMeans | None


class TaskMeans(Checked):
    """One task's share of an evaluation during training."""

    mean: Number
    sd: Number | None
    success_rate: Number | None
    episodes: Positive
    landed: Count
    crashed: Count
    timed_out: Count
    steps: Number


class EvaluationRecord(Checked):
    """One evaluation during training."""

    kind: Literal["evaluation"]
    episode: Count
    environment_steps: Count
    updates: Count
    tasks: dict[Label, TaskMeans]
    average: Number


Record = Annotated[EpisodeRecord | EvaluationRecord, Field(discriminator="kind")]
"""A line of metrics.jsonl."""
