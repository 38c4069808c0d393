"""A lander recipe: one agent on several LunarLander tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field

from mtctl.balancing.contract import Method
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.registry import MethodOrChain
from mtctl.part import LATER, KeyPath, Misfit, NonNegativeInt, PositiveFraction, PositiveInt
from mtctl.problems.amounts import Amount
from mtctl.problems.lander.agents import Agent
from mtctl.problems.lander.memory import amounts
from mtctl.problems.recipe import Evaluation, ProblemPart, Recipe

_ITEM: Final = 100
"""Bytes of Python's objects for one scored episode: its return, steps and outcome."""

LanderTask = Literal["standard", "windy", "heavy", "windy_hull_noise"]
LanderTasks = Annotated[tuple[LanderTask, ...], Field(min_length=1, strict=False)]


class LanderProblem(ProblemPart):
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


class EpisodeEvaluation(Evaluation):
    """Greedy evaluation during and after training, each task under its own time limit."""

    every: NonNegativeInt = 50
    """Training episodes between evaluations; 0: none during training."""
    episodes: PositiveInt = 5
    """Episodes of each task at each of them, on fixed seeds of their own."""
    final_episodes: PositiveInt = 20
    """Episodes of each task at the end of training, on the first held-out seeds. `mtctl eval` plays more."""
    policy: Annotated[Literal["online", "averaged"], LATER] = "online"
    """Which weights play, in every evaluation and in `mtctl eval`: those that learn, as published, or their
    running average θ̄ ← (1 − averaging)·θ̄ + averaging·θ after each update (Polyak & Juditsky, 1992).
    Checkpoints hold what plays; training does not change."""
    averaging: Annotated[PositiveFraction, LATER] = 0.005
    """What the average takes from each update, with `policy: averaged`; 0.005, a half-life of 138 updates:
    long beside the noise of batches, short beside a run."""


class LanderRecipe(Recipe):
    """Multi-task reinforcement learning: one DQN agent on several LunarLander tasks."""

    budget_key: ClassVar[str] = "problem.episodes_per_task"

    problem: LanderProblem
    agent: Agent
    balancer: MethodOrChain
    """How the tasks are balanced: one method, or a list of several that are applied in turn."""
    evaluation: EpisodeEvaluation = EpisodeEvaluation()

    @property
    def units(self) -> int:
        return self.problem.episodes

    def lasting(self, units: int) -> Self:
        problem = self.problem.model_copy(update={"episodes_per_task": units // len(self.problem.tasks)})
        return self.model_copy(update={"problem": problem})

    @property
    def evaluated(self) -> tuple[int | None, int | None]:
        return self.evaluation.episodes, self.evaluation.final_episodes

    @property
    def traits(self) -> dict[str, str | int]:
        every_task = self.agent.replay.kind == "per_task" and self.agent.learn == "all_tasks"
        return {
            "encoding": self.agent.task_encoding if self.agent.network == "shared" else "own networks",
            "replay": self.agent.replay.kind,
            "rows_per_update": self.agent.batch_size * (len(self.problem.tasks) if every_task else 1),
        }

    @property
    def rehearsal(self) -> Self:
        replay = self.agent.replay.model_copy(update={"learning_starts": 1})
        agent = self.agent.model_copy(update={"replay": replay, "per_task": {}})
        return self.model_copy(update={"agent": agent})

    def memory(self) -> Iterator[Amount]:
        yield from amounts(self.agent, len(self.problem.tasks))
        played = {"final_episodes": self.evaluation.final_episodes}
        if self.evaluation.every:
            played["episodes"] = self.evaluation.episodes
        for name, episodes in played.items():
            yield Amount(f"evaluation.{name}", f"{episodes:,} episodes of a task", episodes * _ITEM)

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        for task in self.agent.per_task:
            yield from self.unknown_task(("agent", "per_task"), task)
        for path, method in self.methods():
            if self.agent.network == "independent" and not isinstance(method, Equal | Manual):
                text = f"independent networks share nothing that `{method.kind}` could balance: use `equal`"
                yield Misfit((*path, "kind"), text)
            if self.agent.replay.kind == "mixed":
                yield from _known_losses(method, path)
        yield from self._buffers_too_small()

    def _buffers_too_small(self) -> Iterator[Misfit]:
        replay, tasks = self.agent.replay, self.problem.tasks
        share = replay.capacity // len(tasks)
        if replay.kind == "mixed":
            return
        if share < replay.learning_starts <= replay.capacity:
            text = f"`learning_starts` is above one task's share of `capacity` ({share})"
            yield Misfit(("agent", "replay", "learning_starts"), text)
        for task, settings in self.agent.per_task.items():
            if settings.learning_starts is not None and settings.learning_starts > share:
                text = f"`learning_starts` is above one task's share of the replay `capacity` ({share})"
                yield Misfit(("agent", "per_task", task, "learning_starts"), text)


def _known_losses(method: Method, path: KeyPath) -> Iterator[Misfit]:
    """Yield settings in units of a task's loss: a method sees it times the task's share of a mixed batch."""
    for name in ("ideal", "theoretical_losses"):
        if getattr(method, name, None) is not None:
            text = (
                f"`{name}` is in units of the whole loss, but mixed replay scales each loss by its share of "
                "the batch: use `agent.replay.kind: per_task`"
            )
            yield Misfit((*path, name), text)
