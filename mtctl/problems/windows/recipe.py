"""A windows recipe: one sequence model with four heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from mtctl.balancing.registry import MethodOrChain
from mtctl.part import KeyPath, Misfit
from mtctl.problems.amounts import Amount
from mtctl.problems.changes import Changes
from mtctl.problems.recipe import Checkpoints, Monitor
from mtctl.problems.supervised.interventions import Adam, FewRows, NoDropout, Rate, Setting
from mtctl.problems.supervised.recipe import OwnRemedy, SupervisedRecipe
from mtctl.problems.windows.memory import amounts
from mtctl.problems.windows.parts import SequenceModel, Training, WindowsFile, WindowsProblem


class WindowsRecipe(SupervisedRecipe):
    """Supervised multi-task learning: one sequence model with four heads on windows of price bars."""

    standardise_key: ClassVar[str] = "model.standardise"
    documented: ClassVar[Mapping[str, str]] = {
        "uncertainty": "fix 1",
        "running_mean_sqrt_d": "fix 2",
        "batch_scale": "fix 4",
        "manual": "fix 5",
    }
    data_key: ClassVar[KeyPath] = ("problem", "data", "path")

    problem: WindowsProblem
    model: SequenceModel
    training: Training = Training()
    balancer: MethodOrChain
    """How the tasks are balanced: one method, or a list of several that are applied in turn."""
    checkpoints: Checkpoints = Checkpoints(every=5)
    monitor: Monitor = Monitor(every=32)

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
    def device(self) -> str:
        return self.training.device

    def on(self, device: str) -> Self:
        return self.revised({"training.device": device})

    @property
    def traits(self) -> dict[str, str | int]:
        return {"model": f"{self.model.kind} {self.model.hidden}", "batch": self.training.batch_size}

    def memory(self) -> Iterator[Amount]:
        return amounts(self.problem, self.model, self.training)

    def own_remedies(self, task: str) -> Iterator[OwnRemedy]:
        if task == "countdown":
            scalar = (Setting("model.countdown", "scalar"),)
            yield OwnRemedy("scalar_countdown", "scalar countdown", scalar, "fix 3", changes_model=True)

    def _own_change(self, intervention: Rate | NoDropout | Adam | FewRows) -> Changes:
        match intervention:
            case Rate(factor=factor):
                return {"training.lr": self.training.lr * factor}
            case NoDropout():
                return {"model.dropout": 0.0, "model.head_dropout": 0.0}
            case Adam(lr=lr):
                heads = dict.fromkeys(self.problem.tasks, 1.0)
                return {"training.optimizer": "adam", "training.lr": lr, "training.head_lr": heads}
            case FewRows(count=count):
                few = min(count, self.problem.training_windows or count)
                return {"problem.limit": few, "training.batch_size": few}

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        if self.training.batch_size > (rows := self.problem.training_windows or self.training.batch_size):
            text = f"`batch_size` is above the number of training windows ({rows})"
            yield Misfit(("training", "batch_size"), text)
