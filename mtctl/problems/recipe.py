"""The recipe: everything that decides a run except its seed. Each kind of problem has a recipe of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError

from mtctl.balancing.contract import Method
from mtctl.balancing.registry import MethodOrChain
from mtctl.errors import MtctlError
from mtctl.part import ASIDE, IDENTITY, KeyPath, Misfit, NonNegativeInt, Part, PositiveInt, all_parts
from mtctl.problems.amounts import Amount
from mtctl.problems.changes import Changes, changed


class ProblemPart(Part):
    """What is trained: `problem:` in a recipe; `kind` is one of the registry's (see kinds.py)."""

    kind: str
    tasks: tuple[str, ...]

    def misfits(self) -> Iterator[Misfit]:
        for index, task in enumerate(self.tasks):
            if task in self.tasks[:index]:
                yield Misfit(("tasks", index), f"task `{task}` is listed more than once")


class Evaluation(Part):
    """Evaluation during training; at its end there is always one, on held-out data."""

    every: NonNegativeInt = 1
    """Units of training (epochs) between evaluations; 0: none during training."""


class Checkpoints(Part):
    """What is kept besides `last.pt` (to resume) and `best.pt`."""

    every: PositiveInt = 100
    """Units of training (episodes, epochs) between checkpoints."""


class Monitor(Part):
    """The signals that a run records for every task: gradient norms, shares and cosines cost extra passes."""

    every: PositiveInt = 1
    """Updates between two measurements of gradients. Where the balancing method needs them anyway they are
    free."""


class Tuning(Part):
    """What it took to find this recipe's settings: declared, so that a comparison can tell unequal effort."""

    runs: NonNegativeInt | None = None
    """Trainings that its settings were chosen by: each seed counts, and so do those of parents in `extends`.
    0: none, the settings are somebody else's or a first guess. Left out: nobody counted."""
    note: Annotated[str, Field(max_length=500)] | None = None
    """What was tuned and how, in a few words: "rate and batch size by hand"."""

    def misfits(self) -> Iterator[Misfit]:
        if self.runs is None and self.note is None:
            yield Misfit((), "`tuning` declares nothing: give `runs`, `note` or both")
        if self.note is not None and not (self.note.strip() and self.note.isprintable()):
            yield Misfit(("note",), "`note` is one line of text")


LogKind = Literal["tensorboard", "csv", "wandb"]
"""What other tools read."""


class Recipe(Part):
    """A training recipe. With a seed it decides a run completely."""

    budget_key: ClassVar[str] = ""
    """The dotted key of how long a run is."""
    data_key: ClassVar[KeyPath] = ()
    """Where it stands which file the data come from; `known_as` stands beside it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """The results folder: letters, digits, `.`, `_` and `-`."""
    problem: ProblemPart
    balancer: MethodOrChain
    """How the tasks are balanced: one method, or a list of several that are applied in turn."""
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    monitor: Monitor = Monitor()
    logging: Annotated[tuple[LogKind, ...], Field(strict=False), ASIDE] = ()
    """Logs for other tools, written beside the records while a run trains: `tensorboard`, `csv`, `wandb`."""
    tuning: Annotated[Tuning | None, ASIDE] = None
    """How the recipe was tuned, for comparisons to show; it changes no run. Left out: undeclared."""

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
            mistakes = [
                f"{'.'.join(map(str, detail['loc']))}: {detail['msg'].removeprefix('Value error, ')}"
                for detail in error.errors(include_url=False)
            ]
            raise MtctlError(f"{self.name} cannot be changed: {'; '.join(mistakes)}") from error

    @property
    def budget_value(self) -> int:
        """The value of `budget_key`; `units` is in proportion to it."""
        value: Any = self
        for key in self.budget_key.split("."):
            value = getattr(value, key)
        return int(value)

    @property
    def data_path(self) -> str | None:
        """Where the file lies that the data come from; None where they come from none."""
        return None

    @property
    def data_name(self) -> str | None:
        """The path by which a run knows its data, wherever they lie by now."""
        return None

    def with_data(self, path: str, known_as: str) -> Self:
        """Return the same recipe whose file lies at another place."""
        raise NotImplementedError

    @property
    def device(self) -> str:
        """Where a run computes, as torch names it, or `auto`."""
        return "cpu"

    def on(self, device: str) -> Self:
        """Return the same recipe for another device."""
        del device
        return self

    def memory(self) -> Iterable[Amount]:
        """Return what a run certainly holds in memory at one time."""
        return ()

    @property
    def bound_to_budget(self) -> list[str]:
        """The dotted keys of the parts that go by how long the whole run is, the innermost first."""
        found = [path for path, part in all_parts(self) if part.depends_on_budget]
        return [".".join(map(str, keys)) for keys in found]

    def identity(self) -> dict[str, Any]:
        """Return what decides a run, as JSON values: not the place where its data lies at the moment.

        Keys of later versions (`LATER`) are in it only where they are not at their defaults, and those of
        what is done beside a run (`ASIDE`) not at all.
        """
        return self.model_dump(mode="json", context=IDENTITY)

    @property
    def scored(self) -> tuple[str, ...]:
        """What evaluations score, by name: the tasks, or what they achieve together."""
        return self.problem.tasks

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

    def methods(self) -> Iterator[tuple[KeyPath, Method]]:
        """Yield the balancing methods in order, each with the place where it stands."""
        for index, method in enumerate(self.chain):
            yield ("balancer", index) if isinstance(self.balancer, tuple) else ("balancer",), method

    def misfits(self) -> Iterator[Misfit]:
        for index, kind in enumerate(self.logging):
            if kind in self.logging[:index]:
                yield Misfit(("logging", index), f"log `{kind}` is listed more than once")
        for path, method in self.methods():
            for name, values in method.per_task_values():
                yield from self._one_value_per_task((*path, name), values)

    def _one_value_per_task(self, path: KeyPath, values: Mapping[str, float]) -> Iterator[Misfit]:
        for task in values:
            yield from self.unknown_task(path, task)
        if missing := [task for task in self.problem.tasks if task not in values]:
            yield Misfit(path, f"`{path[-1]}` has no value for {', '.join(f'`{task}`' for task in missing)}")

    def unknown_task(self, path: KeyPath, task: str) -> Iterator[Misfit]:
        """Yield what is wrong with a task's name at `path`, if the problem has no such task."""
        if task not in self.problem.tasks:
            yield Misfit((*path, task), f"`{task}` is not a task of this recipe", choices=self.problem.tasks)
