"""The contract of a problem: what is trained, seen from the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtctl.balancing.task_gradients import TaskGradients
from mtctl.problems.score import Figures, Score

Frame = npt.NDArray[np.uint8]
Record = dict[str, Any]
"""One line of metrics.jsonl: JSON values only."""


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Trainable numbers in a problem's networks (target copies excluded)."""

    total: int
    shared: int


@dataclass(frozen=True, slots=True)
class TaskEvaluation:
    """One task's evaluation, item by item (episodes, windows), in the order of the published list.

    Args:
        scores: the declared score of each item.
        steps: environment steps of each episode; None where nothing is played.
        outcomes: how each episode ended, by the score's names; None where nothing is played.
        measures: further figures over all items together, in the task's own units, by name.
    """

    scores: tuple[float, ...]
    steps: tuple[int, ...] | None = None
    outcomes: tuple[str, ...] | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


SeedList = Literal["held_out", "monitor"]
"""`held_out`: the published list of seeds (or the windows) that final scores are measured on; `monitor`:
those of evaluations during training."""

TaskSignals = dict[str, dict[str, float | None]]
"""A figure for each task, by the signal's name."""


class Problem(Protocol):
    """What is trained.

    A unit is what progress is counted in ("episode", "epoch"); records, evaluations and checkpoints come at
    ends of units, and `state_dict` there covers everything that decides the future.

    Attributes:
        tasks: the T task names, which share what is trained.
        scored: what evaluations score, by name: the tasks, or what they achieve together.
        score: what `evaluate` measures.
        figures: what the records of units say of the tasks.
        unit: the name of a unit.
        item: the name of what an evaluation scores one by one: "episode", "window".
        units: how many the recipe asks for.
        done: how many have ended.
        device: where its networks compute.
        definition: JSON values that define tasks and evaluation: runs are comparable only if these are equal.
        code: the file that built it, and its SHA-256, as `file` and `sha256`; None where that is mtctl's own.
    """

    tasks: tuple[str, ...]
    scored: tuple[str, ...]
    score: Score
    figures: Figures
    unit: str
    item: str
    units: int
    done: int
    device: torch.device
    definition: Mapping[str, Any]
    code: Mapping[str, str] | None

    def parameter_count(self) -> ParameterCount: ...

    def budget(self) -> dict[str, int]:
        """Return what has been spent so far: updates, samples_per_update and, where something is played,
        environment_steps.
        """
        ...

    def advance(self) -> Record | None:
        """Collect: one environment step or one batch. Return the unit's record if this ended a unit.

        The record has `kind`, `unit`, `tasks`, `extra` and, where something is played, `environment_steps`
        (see engine/layout.py); the engine adds `updates` and `signals`.
        """
        ...

    def gradients(self) -> TaskGradients | None:
        """Return losses and gradients of a fresh batch, or None if there is nothing to learn from yet."""
        ...

    def update(self) -> None:
        """Step the optimizer with the combined gradients, and do what follows an update (target networks)."""
        ...

    def revisit(self) -> Tensor:
        """Return [T] float64 losses of the last batch with the parameters as they are now.

        Everything else is as it was when they were differentiated (targets, dropout noise), and nothing that
        decides the future changes. Tasks without rows have 0.
        """
        ...

    def inspect(self) -> TaskSignals:
        """Return what the problem itself knows of each task since the last call, for the record; cheap."""
        ...

    def evaluate(
        self, items: int | None, seeds: SeedList, tasks: tuple[str, ...] | None = None
    ) -> dict[str, TaskEvaluation]:
        """Score the first `items` of the list (episodes, windows); training's state stays untouched.

        Args:
            items: how many; None for as many as a final score takes.
            seeds: which list.
            tasks: which of `scored`; all of them if left out.
        """
        ...

    def show(self, task: str, episodes: int, frame: Callable[[Frame], None] | None = None) -> None:
        """Play held-out episodes of one task with rendering, apart from any score.

        Args:
            task: its name, one of `scored`.
            episodes: how many, from the start of the held-out list.
            frame: gets each frame [height, width, 3]; None opens a window instead.
        """
        ...

    def policy_state(self) -> dict[str, Any]:
        """Return what evaluation needs: the networks' weights."""
        ...

    def load_policy_state(self, state: Mapping[str, Any]) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides the future, as tensors and plain values (for `weights_only=True`)."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def mark(self) -> None:
        """Remember this end of a unit, or the start, in memory: what `rewind` goes back to; cheap."""
        ...

    def rewind(self) -> None:
        """Go back to the last mark, as if nothing had happened since; needs one."""
        ...


@runtime_checkable
class Restating(Protocol):
    """A problem of which some records say how things stand to the length of the whole run."""

    def restated(self, record: Record, units: int) -> Record:
        """Return what this run would have recorded where one of `units` units recorded `record`.

        Raises:
            MtctlError: the record does not tell.
        """
        ...


@runtime_checkable
class Noticing(Protocol):
    """A problem that notices what its user should know while it is trained."""

    def notices(self) -> list[str]:
        """Return sentences about the run, without its name, that have not been said yet; cheap."""
        ...


@runtime_checkable
class HalfPrecision(Protocol):
    """A problem that may compute in float16 with scaled losses.

    Its gradients then raise `mtctl.balancing.gradients.scaled.Overflow` where they leave its range.
    """

    def skip(self) -> bool:
        """Pass over the step of the last batch, and scale losses less; False where that would not help."""
        ...


class Cause(NamedTuple):
    """Why something is not finite.

    Args:
        found: what a task has, as an error tells it; None where that is not known.
        remedy: what to do about it.
    """

    found: str | None
    remedy: str


@runtime_checkable
class Explaining(Protocol):
    """A problem that may know why a loss or a score is not finite."""

    def cause(self, task: str | None, split: SeedList | None) -> Cause | None:
        """Return why a task's figures are not finite; None where nothing is known of it.

        Args:
            task: its name; None for what belongs to no task.
            split: that was evaluated; None for the batch that was learned from last.
        """
        ...
