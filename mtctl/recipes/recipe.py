"""The recipe: everything that decides a run except its seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationError

from mtctl.balancing.contract import Method
from mtctl.balancing.fixed import Equal, Manual
from mtctl.balancing.registry import Balancer
from mtctl.errors import MtctlError
from mtctl.part import (
    IDENTITY,
    LATER,
    KeyPath,
    Misfit,
    NonNegativeInt,
    Part,
    PositiveFraction,
    PositiveInt,
    all_parts,
)
from mtctl.recipes.agents import Agent
from mtctl.recipes.changes import Changes, changed
from mtctl.recipes.problems import LanderProblem, Problem
from mtctl.recipes.windows import SequenceModel, Training, WindowsFile, WindowsProblem


class Evaluation(Part):
    """Evaluation during training; at its end there is always one, on held-out data."""

    every: NonNegativeInt = 1
    """Units of training (epochs) between evaluations; 0: none during training."""


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


class Checkpoints(Part):
    """What is kept besides `last.pt` (to resume) and `best.pt`."""

    every: PositiveInt = 100
    """Units of training (episodes, epochs) between checkpoints."""


class Monitor(Part):
    """The signals that a run records for every task: gradient norms, shares and cosines cost extra passes."""

    every: PositiveInt = 1
    """Updates between two measurements of gradients. Where the balancing method needs them anyway they are
    free."""


class Recipe(Part):
    """A training recipe. With a seed it decides a run completely."""

    budget_key: ClassVar[str] = ""
    """The dotted key of how long a run is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """The results folder: letters, digits, `.`, `_` and `-`."""
    problem: Problem
    balancer: Balancer
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    monitor: Monitor = Monitor()

    @property
    def chain(self) -> tuple[Method, ...]:
        """The balancing methods in order: a chain of one where a single method is given."""
        return self.balancer if isinstance(self.balancer, tuple) else (self.balancer,)

    @property
    def units(self) -> int:
        """Units of training (episodes, epochs) that the recipe asks for."""
        raise NotImplementedError

    def lasting(self, units: int) -> Self:
        """Return the same recipe for a run of so many units."""
        raise NotImplementedError

    def revised(self, changes: Changes) -> Self:
        """Return the recipe with values changed, checked like one that is read.

        Args:
            changes: new values by dotted key, as `-o` takes them: `{"training.lr": 0.01}`.

        Raises:
            MtctlError: the result is no valid recipe.
        """
        try:
            return type(self).model_validate(changed(self.model_dump(mode="json"), changes))
        except ValidationError as error:
            found = [
                f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
                for one in error.errors(include_url=False)
            ]
            raise MtctlError(f"{self.name} cannot be changed: {'; '.join(found)}") from error

    @property
    def bound_to_budget(self) -> list[str]:
        """The dotted keys of the parts that go by how long the whole run is, the innermost first."""
        found = [path for path, part in all_parts(self) if part.depends_on_budget]
        return [".".join(map(str, keys)) for keys in found]

    def identity(self) -> dict[str, Any]:
        """Return what decides a run, as JSON values: not the place where its data lies at the moment.

        Keys of later versions (`LATER`) are in it only where they are not at their defaults.
        """
        return self.model_dump(mode="json", context=IDENTITY)

    @property
    def evaluated(self) -> tuple[int | None, int | None]:
        """How many items an evaluation scores during and at the end of training; None: all there are."""
        return None, None

    @property
    def traits(self) -> dict[str, str | int]:
        """What tells this recipe from others of its family, in a few words, by what the words are about."""
        return {}

    @property
    def rehearsal(self) -> Recipe:
        """The recipe that a run's pace is measured with: one that has nothing to wait for."""
        return self

    @property
    def steps_per_unit(self) -> tuple[int, int] | None:
        """Environment steps of a short unit and of a long one; None where nothing is played."""
        return None

    def misfits(self) -> Iterator[Misfit]:
        for index, method in enumerate(self.chain):
            path: KeyPath = ("balancer", index) if isinstance(self.balancer, tuple) else ("balancer",)
            for name, values in method.per_task_values():
                yield from self._one_value_per_task((*path, name), values)

    def _one_value_per_task(self, path: KeyPath, values: Mapping[str, float]) -> Iterator[Misfit]:
        for task in values:
            yield from self._unknown_task(path, task)
        if missing := [task for task in self.problem.tasks if task not in values]:
            yield Misfit(path, f"`{path[-1]}` has no value for {', '.join(f'`{task}`' for task in missing)}")

    def _unknown_task(self, path: KeyPath, task: str) -> Iterator[Misfit]:
        if task not in self.problem.tasks:
            yield Misfit((*path, task), f"`{task}` is not a task of this recipe", choices=self.problem.tasks)


class LanderRecipe(Recipe):
    """Multi-task reinforcement learning: one DQN agent on several LunarLander tasks."""

    budget_key: ClassVar[str] = "problem.episodes_per_task"

    problem: LanderProblem
    agent: Agent
    balancer: Balancer
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
    def rehearsal(self) -> Recipe:
        replay = self.agent.replay.model_copy(update={"learning_starts": 1})
        agent = self.agent.model_copy(update={"replay": replay, "per_task": {}})
        return self.model_copy(update={"agent": agent})

    @property
    def steps_per_unit(self) -> tuple[int, int] | None:
        # About 95 at first, and 150 to 450 once the lander learns: 420 over the published runs.
        return 150, 450

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        for task in self.agent.per_task:
            yield from self._unknown_task(("agent", "per_task"), task)
        for index, method in enumerate(self.chain):
            path: KeyPath = ("balancer", index) if isinstance(self.balancer, tuple) else ("balancer",)
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
                f"`{name}` is of whole losses, and mixed replay shows each times its share of the batch: "
                "use `agent.replay.kind: per_task`"
            )
            yield Misfit((*path, name), text)


class WindowsRecipe(Recipe):
    """Supervised multi-task learning: one sequence model with four heads on windows of price bars."""

    budget_key: ClassVar[str] = "training.epochs"

    problem: WindowsProblem
    model: SequenceModel
    training: Training = Training()
    balancer: Balancer
    checkpoints: Checkpoints = Checkpoints(every=5)
    monitor: Monitor = Monitor(every=32)

    @property
    def units(self) -> int:
        return self.training.epochs

    def lasting(self, units: int) -> Self:
        return self.model_copy(update={"training": self.training.model_copy(update={"epochs": units})})

    def identity(self) -> dict[str, Any]:
        told = super().identity()
        told["problem"].setdefault("faults", [])  # a key that the first recipes had, so that hashes stay
        if isinstance(self.problem.data, WindowsFile):
            data = told["problem"]["data"]
            data["path"] = data.pop("known_as") or data["path"]
        return told

    def with_data(self, path: str, known_as: str) -> Self:
        """Return the same recipe whose file lies at another place."""
        data = self.problem.data.model_copy(update={"path": path, "known_as": known_as})
        return self.model_copy(update={"problem": self.problem.model_copy(update={"data": data})})

    @property
    def traits(self) -> dict[str, str | int]:
        return {"model": f"{self.model.kind} {self.model.hidden}", "batch": self.training.batch_size}

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.training.batch_size > (rows := self.problem.training_windows or self.training.batch_size):
            text = f"`batch_size` is above the number of training windows ({rows})"
            yield Misfit(("training", "batch_size"), text)


RECIPES: Final[dict[str, type[Recipe]]] = {"lander": LanderRecipe, "windows": WindowsRecipe}
"""The kinds of recipes by `problem.kind`."""
