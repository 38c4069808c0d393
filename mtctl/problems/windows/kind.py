"""The windows as a kind of problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mtctl.problems.kind import Kind
from mtctl.problems.score import LOSSES, SKILL

if TYPE_CHECKING:
    from mtctl.problems.stack import Stack
    from mtctl.problems.windows.problem import Windows
    from mtctl.problems.windows.recipe import WindowsRecipe


def _recipe() -> type[WindowsRecipe]:
    from mtctl.problems.windows.recipe import WindowsRecipe  # noqa: PLC0415 - for those who read recipes

    return WindowsRecipe


def _build(recipe: WindowsRecipe, seed: int) -> Windows:
    from mtctl.problems.windows.problem import build  # noqa: PLC0415 - torch is for what is trained

    return build(recipe, seed)


def _stack() -> Stack:
    from mtctl.problems.windows.stacked import WindowsStack  # noqa: PLC0415 - torch is for what is trained

    return WindowsStack()


WINDOWS: Final = Kind(
    name="windows",
    title="windows",
    load_recipe=_recipe,
    build=_build,
    unit="epoch",
    item="window",
    score=SKILL,
    figures=LOSSES,
    steps_per_unit=None,
    glance=5,  # the documented check is one on 5 epochs
    stack=_stack,
    stacked=("problem", "model", "training.batch_size", "training.device"),
)
