"""What is trained: `problem:` in a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mtctl.recipes.base import Part, PositiveInt

LanderTask = Literal["standard", "windy", "heavy", "windy_hull_noise"]


class LanderProblem(Part):
    """One agent on several LunarLander tasks, played in turn (episode i plays task i mod T)."""

    kind: Literal["lander"]
    tasks: Annotated[tuple[LanderTask, ...], Field(min_length=1, strict=False)] = ("standard", "windy", "heavy")
    """Tasks in the order in which they are played. `windy_hull_noise` is the published study's wind."""
    episodes_per_task: PositiveInt = 500
    """Training episodes of each task; the run has `episodes_per_task × number of tasks`."""

    @model_validator(mode="after")
    def _tasks_are_distinct(self) -> Self:
        repeated = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if repeated:
            raise ValueError(f"tasks: {', '.join(repeated)} is listed more than once")
        return self


Problem = LanderProblem
"""The tagged union of all problems; `kind` selects."""
