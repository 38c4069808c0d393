"""A windows recipe: one sequence model with four heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from mtctl.balancing.registry import MethodOrChain
from mtctl.part import KeyPath, Misfit
from mtctl.problems.amounts import Amount
from mtctl.problems.recipe import Checkpoints, Monitor, Recipe
from mtctl.problems.windows.memory import amounts
from mtctl.problems.windows.parts import SequenceModel, Training, WindowsFile, WindowsProblem


class WindowsRecipe(Recipe):
    """Supervised multi-task learning: one sequence model with four heads on windows of price bars."""

    budget_key: ClassVar[str] = "training.epochs"
    data_key: ClassVar[KeyPath] = ("problem", "data")

    problem: WindowsProblem
    model: SequenceModel
    training: Training = Training()
    balancer: MethodOrChain
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

    @property
    def data_path(self) -> str | None:
        data = self.problem.data
        return data.path if isinstance(data, WindowsFile) else None

    @property
    def data_name(self) -> str | None:
        data = self.problem.data
        return data.known_as or data.path if isinstance(data, WindowsFile) else None

    def with_data(self, path: str, known_as: str) -> Self:
        data = self.problem.data.model_copy(update={"path": path, "known_as": known_as})
        return self.model_copy(update={"problem": self.problem.model_copy(update={"data": data})})

    @property
    def traits(self) -> dict[str, str | int]:
        return {"model": f"{self.model.kind} {self.model.hidden}", "batch": self.training.batch_size}

    def memory(self) -> Iterator[Amount]:
        return amounts(self.problem, self.model, self.training)

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.training.batch_size > (rows := self.problem.training_windows or self.training.batch_size):
            text = f"`batch_size` is above the number of training windows ({rows})"
            yield Misfit(("training", "batch_size"), text)
