"""A recipe of a model of one's own: a function in a Python file builds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from mtctl.balancing.registry import MethodOrChain
from mtctl.part import KeyPath, Misfit, NonNegativeFloat, PositiveFloat, PositiveInt
from mtctl.problems.changes import Changes
from mtctl.problems.device import DeviceName
from mtctl.problems.recipe import Checkpoints, Monitor
from mtctl.problems.supervised.interventions import Adam, FewRows, NoDropout, Rate
from mtctl.problems.supervised.recipe import SupervisedProblem, SupervisedRecipe, SupervisedTraining

Value = str | int | float | bool | None | list[Any] | dict[str, Any]
"""What a recipe can hold."""
Names = Annotated[tuple[str, ...], Field(strict=False)]


class PythonProblem(SupervisedProblem):
    """A model, its tasks and its data, built by your function: `def build(seed) -> mtctl.Training`."""

    kind: Literal["python"]
    build: Annotated[str, Field(pattern=r"^.+:[A-Za-z_][A-Za-z0-9_]*$")]
    """`FILE.py:FUNCTION` or `package.module:FUNCTION`. A file is relative to the folder in which mtctl
    runs; a run keeps the absolute path."""
    known_as: str | None = None
    """The file as it was written at first, which a run's recipe keeps. Leave it out in your own recipe."""
    arguments: dict[str, Value] = Field(default_factory=dict)
    """Arguments of the function besides `seed`, by name."""
    tasks: Names = ()
    """Tasks that are trained and scored; all that the function names if left out."""
    limit: PositiveInt | None = None
    """Train on the first so many rows only, all of them in every batch; null: on all."""


class PythonTraining(SupervisedTraining):
    """How a model of one's own is trained; what is left out is as the function builds it."""

    epochs: PositiveInt = 5
    """Passes over the training data."""
    lr_factor: PositiveFloat = 1.0
    """Factor on all learning rates of the optimizer that the function builds."""
    adam: PositiveFloat | None = None
    """The learning rate of an Adam that takes the place of that optimizer; null: it stays."""
    weight_decay: NonNegativeFloat | None = None
    """In place of the weight decay of the optimizer that the function builds; null: it stays."""
    dropout: bool = True
    """Whether dropout modules drop anything."""
    standardise: Names = ()
    """Tasks that answer c + s·output: c the best constant, s the targets' standard deviation."""
    accumulate: PositiveInt = 1
    """Batches of one update."""
    device: DeviceName = "auto"
    """Where the model computes; auto: a GPU where there is one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """bf16 and fp16: autocast. fp16 ends at 65,504 and loses what is below 6e-8, so that losses are scaled in
    the backward pass: by 65,536 at first, by half as much after a step whose gradients overflow, which is
    skipped, and by twice as much after 2,000 updates in a row."""


class PythonRecipe(SupervisedRecipe):
    """A model of your own: epochs of your batches, each task with a loss of your outputs and targets."""

    standardise_key: ClassVar[str] = "training.standardise"
    data_key: ClassVar[KeyPath] = ("problem", "build")

    problem: PythonProblem
    training: PythonTraining = PythonTraining()
    balancer: MethodOrChain
    """How the tasks are balanced: one method, or a list of several that are applied in turn."""
    checkpoints: Checkpoints = Checkpoints(every=1)
    monitor: Monitor = Monitor(every=32)

    def identity(self) -> dict[str, Any]:
        told = super().identity()
        problem = told["problem"]
        del problem["known_as"]
        problem["build"] = self.known_as
        return told

    @property
    def known_as(self) -> str:
        """The function by the name that the run knows it by, wherever its file lies by now."""
        place, _, function = self.problem.build.rpartition(":")
        return f"{self.problem.known_as or place}:{function}"

    @property
    def file(self) -> str | None:
        """The Python file that the function stands in; None for one of an importable module."""
        name = self.problem.build.rpartition(":")[0]
        return name if name.endswith(".py") else None

    @property
    def device(self) -> str:
        return self.training.device

    def on(self, device: str) -> Self:
        return self.revised({"training.device": device})

    @property
    def data_path(self) -> str | None:
        return self.file

    @property
    def data_name(self) -> str | None:
        return self.file and (self.problem.known_as or self.file)

    def with_data(self, path: str, known_as: str) -> Self:
        function = self.problem.build.rpartition(":")[2]
        problem = self.problem.model_copy(update={"build": f"{path}:{function}", "known_as": known_as})
        return self.model_copy(update={"problem": problem})

    @property
    def traits(self) -> dict[str, str | int]:
        return {"model": self.known_as}

    def _own_change(self, intervention: Rate | NoDropout | Adam | FewRows) -> Changes:
        match intervention:
            case Rate(factor=factor):
                return {"training.lr_factor": self.training.lr_factor * factor}
            case NoDropout():
                return {"training.dropout": False}
            case Adam(lr=lr):
                return {"training.adam": lr, "training.lr_factor": 1.0}
            case FewRows(count=count):
                return {"problem.limit": count}

    def misfits(self) -> Iterator[Misfit]:
        # Which tasks there are is known once the function has been called.
        yield from super().misfits() if self.problem.tasks else ()
