"""What is trained: `problem:` in a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mtctl.part import Misfit, Part, PositiveInt
from mtctl.recipes.windows import WindowsProblem

LanderTask = Literal["standard", "windy", "heavy", "windy_hull_noise"]
LanderTasks = Annotated[tuple[LanderTask, ...], Field(min_length=1, strict=False)]


class LanderProblem(Part):
    """One agent on several LunarLander tasks, played in turn (episode i plays task i mod T)."""

    kind: Literal["lander"]
    tasks: LanderTasks = ("standard", "windy", "heavy")
    """Tasks in the order in which they are played. `windy_hull_noise` is the published study's wind."""
    episodes_per_task: PositiveInt = 500
    """Training episodes of each task; the run has `episodes_per_task × number of tasks`."""

    @property
    def episodes(self) -> int:
        """Training episodes of all tasks together."""
        return self.episodes_per_task * len(self.tasks)

    def misfits(self) -> Iterator[Misfit]:
        for index, task in enumerate(self.tasks):
            if task in self.tasks[:index]:
                yield Misfit(("tasks", index), f"task `{task}` is listed more than once")


Problem = Annotated[LanderProblem | WindowsProblem, Field(discriminator="kind")]
"""The tagged union of all problems; `kind` selects."""
