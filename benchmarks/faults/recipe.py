"""Faults that keep a task of the windows problem from learning, as parts of a recipe that plants them.

What a diagnosis changes in such a recipe leaves its faults where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from mtctl.part import Misfit, Part, PositiveFloat
from mtctl.problems.windows.parts import WindowsProblem, WindowsTask
from mtctl.problems.windows.recipe import WindowsRecipe


class ShuffledTargets(Part):
    """Targets of one task dealt out to other windows: nothing about them can be learned from the prices."""

    kind: Literal["shuffled_targets"]
    task: WindowsTask


class ConstantTargets(Part):
    """The same target for every window (and step): that of the first."""

    kind: Literal["constant_targets"]
    task: WindowsTask


class MissingTargets(Part):
    """NaN (for `type`: a class that does not exist) as target of some windows."""

    kind: Literal["missing_targets"]
    task: WindowsTask
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.1


class ScaledTargets(Part):
    """Targets of a regression task in a unit `factor` times smaller, so that numbers are `factor` times as
    large.
    """

    kind: Literal["scaled_targets"]
    task: Literal["ptr", "countdown"]
    factor: PositiveFloat


class ShuffledInputs(Part):
    """Prices that have nothing to do with the targets: every window's bars are dealt to another window."""

    kind: Literal["shuffled_inputs"]


class Detached(Part):
    """A task whose gradient stops at the trunk."""

    kind: Literal["detached"]
    task: WindowsTask


class NotInOptimizer(Part):
    """A head whose parameters the optimizer was not given."""

    kind: Literal["not_in_optimizer"]
    task: WindowsTask


class FrozenTrunk(Part):
    """A trunk that no optimizer moves."""

    kind: Literal["frozen_trunk"]


class SaturatedHead(Part):
    """A sigmoid whose input is shifted so far that it answers 1 everywhere: a probability of 1 in floating
    point, clamped before its logarithm as is usual, passes no gradient.
    """

    kind: Literal["saturated_head"]
    task: Literal["binary"] = "binary"
    bias: PositiveFloat = 15.0


class DeadHead(Part):
    """A head behind a ReLU that is never open: its output stays 0 and passes no gradient."""

    kind: Literal["dead_head"]
    task: WindowsTask


class Contradiction(Part):
    """Two tasks on one output with opposite targets: `by` wants the negative of what `task` wants. Nothing is
    wrong without `by`.
    """

    kind: Literal["contradiction"]
    task: Literal["ptr", "countdown"]
    by: WindowsTask

    def misfits(self) -> Iterator[Misfit]:
        if self.by == self.task:
            yield Misfit(("by",), "a task cannot contradict itself")


class ReversedGradient(Part):
    """A task whose gradient enters the trunk with the wrong sign."""

    kind: Literal["reversed_gradient"]
    task: WindowsTask


Fault = Annotated[
    ShuffledTargets
    | ConstantTargets
    | MissingTargets
    | ScaledTargets
    | ShuffledInputs
    | Detached
    | NotInOptimizer
    | FrozenTrunk
    | SaturatedHead
    | DeadHead
    | Contradiction
    | ReversedGradient,
    Field(discriminator="kind"),
]
"""Something planted that keeps a task from learning, to see whether it is found."""


class PlantedProblem(WindowsProblem):
    """The windows problem with faults."""

    faults: Annotated[tuple[Fault, ...], Field(strict=False)] = ()
    """Faults to plant, in this order."""

    def misfits(self) -> Iterator[Misfit]:
        yield from super().misfits()
        fought_over: set[str] = set()
        for index, fault in enumerate(self.faults):
            if isinstance(fault, Contradiction):
                if twice := sorted({fault.task, fault.by} & fought_over):
                    yield Misfit(("faults", index), f"task `{twice[0]}` is in another contradiction already")
                fought_over |= {fault.task, fault.by}


class PlantedRecipe(WindowsRecipe):
    """A windows recipe with faults; see `planted`."""

    problem: PlantedProblem


def planted(recipe: WindowsRecipe, *faults: Mapping[str, Any]) -> PlantedRecipe:
    """Return a recipe with faults, each as in a recipe: {"kind": "detached", "task": "ptr"}."""
    values = recipe.model_dump(mode="json")
    return PlantedRecipe.model_validate({**values, "problem": {**values["problem"], "faults": list(faults)}})
