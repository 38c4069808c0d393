"""The windows problem with faults planted in it: importing this makes recipes with faults trainable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor
from torch.nn import Parameter

from benchmarks.faults.data import spoiled
from benchmarks.faults.recipe import (
    Contradiction,
    DeadHead,
    Detached,
    Fault,
    FrozenTrunk,
    NotInOptimizer,
    PlantedProblem,
    PlantedRecipe,
    ReversedGradient,
    SaturatedHead,
    ScaledTargets,
)
from mtctl.problems.windows.data import Dataset, Splits
from mtctl.problems.windows.losses import DELTA, window_losses
from mtctl.problems.windows.network import HEADS
from mtctl.problems.windows.objective import Objective, Unit
from mtctl.problems.windows.parts import SequenceModel, Training, WindowsProblem
from mtctl.problems.windows.problem import Windows, build

_CERTAIN: Final = math.log((1 - 1e-6) / 1e-6)
"""Logit of a probability clamped to 1 − 1e-6."""
_CLOSED: Final = 1e4
"""How far below its threshold a dead head's ReLU is kept; no output comes near."""


@build.register
def build_planted(recipe: PlantedRecipe, seed: int) -> Windows:
    """Return a recipe's problem with its faults planted."""
    return PlantedWindows(recipe.problem, recipe.model, recipe.training, seed)


class PlantedObjective(Objective):
    """An objective with faults.

    Args:
        model: the recipe's model.
        loss_factor: on single tasks' losses.
        training: the training windows, spoiled.
        contradicted: for each task that contradicts, whose output it fights over.
        factors: on the targets of regression tasks, in which `training` has them.
    """

    def __init__(
        self,
        model: SequenceModel,
        loss_factor: Mapping[str, float],
        training: Dataset,
        contradicted: Mapping[str, str],
        factors: Mapping[str, float],
    ) -> None:
        self._contradicted, self._factors = contradicted, factors
        super().__init__(model, loss_factor, training)

    def _factor(self, task: str) -> float:
        return self._factors.get(task, 1.0)

    def unit(self, task: str, training: Dataset) -> Unit:
        found = super().unit(task, training)
        return found if task in self.scalar else found._replace(offset=found.offset * self._factor(task))

    def truth(self, task: str, data: Dataset) -> Tensor:
        return super().truth(task, data) / self._factor(task) if task in self._factors else data.targets[task]

    def wanted(self, task: str, data: Dataset) -> Tensor:
        found = super().wanted(task, data)
        return found * self._factor(task) if task in self.scalar else found

    def loss(self, task: str, raw: Mapping[str, Tensor], batch: Dataset) -> Tensor:
        if task not in self._contradicted:
            return super().loss(task, raw, batch)
        head = self._contradicted[task]
        offset, scale, delta = self.units[head]
        losses = window_losses(head, raw[head], (-self.wanted(head, batch) - offset) / scale, delta)
        return losses.mean() * self.loss_factor.get(task, 1.0)

    def answer(self, head: str, output: Tensor) -> Tensor:
        found = super().answer(head, output)
        return found / self._factor(head) if head in DELTA else found


class PlantedWindows(Windows):
    """The windows problem with faults.

    Args:
        problem: the recipe's problem: the faults.
        model: the recipe's model.
        training: the recipe's training.
        seed: the run's.
    """

    def __init__(self, problem: PlantedProblem, model: SequenceModel, training: Training, seed: int) -> None:
        self._faults = _Faults(problem.faults, problem.tasks)
        super().__init__(problem, model, training, seed)

    def _load(self, problem: WindowsProblem, seed: int) -> Splits:
        return spoiled(super()._load(problem, seed), self._faults.all, seed)

    def _new_objective(self, model: SequenceModel, training: Training) -> Objective:
        contradicted, factors = self._faults.contradicted, self._faults.factors
        return PlantedObjective(model, training.loss_factor, self.splits.training, contradicted, factors)

    def trunk(self) -> list[Parameter]:
        """Return the parameters that several tasks use: the trunk, and a head that two tasks fight over."""
        contested = self._faults.contradicted
        extra = dict.fromkeys(contested[task] for task in self.tasks if task in contested)
        return [*super().trunk(), *(p for task in extra for p in self.network.head(task).parameters())]

    def head(self, task: str) -> list[Parameter]:
        contested = self._faults.contradicted
        return [] if task in contested or task in contested.values() else super().head(task)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        trunk, *heads = super()._parameter_groups()
        frozen, left_out = self._faults.frozen_trunk, self._faults.left_out
        kept = [
            group
            for task, group in zip(self.tasks, heads, strict=True)
            if task not in left_out and group["params"]
        ]
        return kept if frozen else [trunk, *kept]

    def _outputs(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        faults = self._faults
        needed = {faults.contradicted.get(task, task) for task in self.tasks}
        given: dict[str, Tensor] = {
            head: faults.features(head, features[head]) for head in HEADS if head in needed
        }
        return {head: faults.output(head, raw) for head, raw in self.network.outputs(given).items()}

    def _window_losses(self, task: str, predictions: Mapping[str, Tensor], batch: Dataset) -> Tensor:
        """Return a task's losses; of one that contradicts, the other's output against the negative target."""
        if task not in self._faults.contradicted:
            return super()._window_losses(task, predictions, batch)
        head = self._faults.contradicted[task]
        return window_losses(head, predictions[head], -self.objective.truth(head, batch))

    def _constant_losses(self, task: str, split: Dataset) -> Tensor:
        # What contradicts has the other's targets mirrored: the mirrored constant has the same losses.
        return super()._constant_losses(self._faults.contradicted.get(task, task), split)

    def _measures(self, task: str, predictions: Mapping[str, Tensor], split: Dataset) -> dict[str, float]:
        return super()._measures(task, predictions, split) if task in predictions else {}


class _Faults:
    """What faults do to a forward pass, to losses and to the optimizer.

    Args:
        faults: of the recipe.
        tasks: that are trained.
    """

    def __init__(self, faults: Sequence[Fault], tasks: Sequence[str]) -> None:
        self.all = faults
        self.frozen_trunk = any(isinstance(fault, FrozenTrunk) for fault in faults)
        self.left_out: set[str] = {fault.task for fault in faults if isinstance(fault, NotInOptimizer)}
        self.contradicted: dict[str, str] = {
            fault.by: fault.task
            for fault in faults
            if isinstance(fault, Contradiction) and {fault.task, fault.by} <= set(tasks)
        }
        """For each task that contradicts, whose output it fights over."""
        self.factors: dict[str, float] = {}
        for fault in faults:
            if isinstance(fault, ScaledTargets):
                self.factors[fault.task] = self.factors.get(fault.task, 1.0) * fault.factor

    def features(self, task: str, given: Tensor) -> Tensor:
        """Return a head's features as it gets them: values stay, gradients may not."""
        for fault in self.all:
            if isinstance(fault, Detached) and fault.task == task:
                given = given.detach()
            if isinstance(fault, ReversedGradient) and fault.task == task:
                given = 2 * given.detach() - given
        return given

    def output(self, task: str, raw: Tensor) -> Tensor:
        """Return a head's raw output as its loss gets it."""
        for fault in self.all:
            if isinstance(fault, SaturatedHead) and fault.task == task:
                raw = (raw + fault.bias).clamp(-_CERTAIN, _CERTAIN)
            if isinstance(fault, DeadHead) and fault.task == task:
                raw = (raw - _CLOSED).relu()
        return raw
