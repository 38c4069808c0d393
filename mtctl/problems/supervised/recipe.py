"""The recipe of a supervised problem: what all of them let a diagnosis change, and under which keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field

from mtctl.part import LATER, NonNegativeFloat, Part, PositiveFloat, PositiveInt
from mtctl.problems.changes import Changes
from mtctl.problems.recipe import ProblemPart, Recipe
from mtctl.problems.supervised.interventions import (
    Adam,
    Balanced,
    Clipped,
    FewRows,
    HeadDecay,
    HeadRate,
    Intervention,
    LossFactor,
    NoDecay,
    NoDropout,
    Only,
    Rate,
    Setting,
    Shifted,
    Standardised,
)

RowShift = Annotated[int, Field(ge=-1000, le=1000)]
"""Rows that a task's targets are shifted by."""


class SupervisedTraining(Part):
    """What can be said of the training of any supervised problem."""

    epochs: PositiveInt = 20
    """Passes over the training data."""
    head_lr: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Factor on the learning rate of single heads, by task; those that are not trained do not count."""
    head_decay: Annotated[dict[str, NonNegativeFloat], LATER] = Field(default_factory=dict)
    """Weight decay of single heads, by task, in place of the optimizer's; those that are not trained do not
    count."""
    loss_factor: Annotated[dict[str, PositiveFloat], LATER] = Field(default_factory=dict)
    """Factor on single losses, by task, before the tasks are balanced; those that are not trained do not
    count. The number of a task's outputs makes a sum of a mean over them."""
    gradient_clip: PositiveFloat | None = None
    """Largest Euclidean norm of the combined gradient; null: no clipping."""


class SupervisedProblem(ProblemPart):
    """What is trained, of any supervised problem."""

    target_shift: Annotated[dict[str, RowShift], LATER] = Field(default_factory=dict)
    """By task, k: row i of each split gets the target of row i + k. Where labels are k rows off in the data,
    −k puts them right."""


class OwnRemedy(NamedTuple):
    """A remedy that only one problem has.

    Args:
        name: stable.
        title: in a few words.
        interventions: what it changes.
        documented: which of the documented fixes it is; "" for none.
        changes_model: whether old checkpoints no longer fit.
    """

    name: str
    title: str
    interventions: tuple[Intervention, ...]
    documented: str = ""
    changes_model: bool = False


class SupervisedRecipe(Recipe):
    """Supervised multi-task learning: epochs of batches, each task with a loss of outputs against targets."""

    budget_key: ClassVar[str] = "training.epochs"
    standardise_key: ClassVar[str]
    """The dotted key of the list of standardised tasks."""
    documented: ClassVar[Mapping[str, str]] = {}
    """Which remedies of any problem are documented fixes of this one: the label, by the remedy's name."""

    problem: SupervisedProblem
    training: SupervisedTraining

    @property
    def units(self) -> int:
        return self.training.epochs

    def lasting(self, units: int) -> Self:
        return self.model_copy(update={"training": self.training.model_copy(update={"epochs": units})})

    @property
    def standardised(self) -> tuple[str, ...]:
        """The tasks that are standardised."""
        part, key = self.standardise_key.split(".")
        tasks: tuple[str, ...] = getattr(getattr(self, part), key)
        return tasks

    def own_remedies(self, task: str) -> Iterable[OwnRemedy]:
        """Yield the remedies for a stuck task that only this problem has."""
        del task
        return ()

    def changes(self, *interventions: Intervention) -> Changes:
        """Return interventions as new values of settings, for `revised`."""
        changes: dict[str, Any] = {}
        for intervention in interventions:
            changes |= self._change(intervention)
        return changes

    def _change(self, intervention: Intervention) -> Changes:
        match intervention:
            case Only(tasks=tasks):
                return {"problem.tasks": list(tasks)}
            case Balanced(kind=kind, settings=settings):
                return {"balancer": {"kind": kind, **settings}}
            case Standardised(tasks=tasks):
                return {self.standardise_key: list(dict.fromkeys([*self.standardised, *tasks]))}
            case HeadRate(task=task, factor=factor):
                return {"training.head_lr": {task: factor}}
            case LossFactor(task=task, factor=factor):
                given = self.training.loss_factor.get(task, 1.0)
                return {"training.loss_factor": {task: factor * given}}
            case Shifted(task=task, rows=rows):
                return {"problem.target_shift": {task: self.problem.target_shift.get(task, 0) + rows}}
            case HeadDecay(task=task, decay=decay):
                return {"training.head_decay": {task: decay}}
            case NoDecay():
                return {"training.weight_decay": 0.0}
            case Clipped(norm=norm):
                return {"training.gradient_clip": norm}
            case Setting(key=key, value=value):
                return {key: value}
            case _:
                return self._own_change(intervention)

    def _own_change(self, intervention: Rate | NoDropout | Adam | FewRows) -> Changes:
        """Return what is set under other keys in every problem."""
        raise NotImplementedError

    def without(self, tasks: Collection[str]) -> Self:
        """Return the recipe in which some tasks are not trained, and no setting speaks of them."""
        told = self.model_dump(mode="json")
        told["problem"]["tasks"] = [task for task in self.problem.tasks if task not in tasks]
        return type(self).model_validate({**told, "balancer": _left_out(told["balancer"], tasks)})


def _left_out(balancer: Any, tasks: Collection[str]) -> Any:
    """Return what stands under `balancer:` without tasks' entries; a task may be called as a setting is."""
    if isinstance(balancer, list):
        return [_left_out(method, tasks) for method in balancer]
    return {
        key: {name: value for name, value in setting.items() if name not in tasks}
        if isinstance(setting, dict)
        else setting
        for key, setting in balancer.items()
    }
