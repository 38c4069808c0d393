"""Which class a recipe's problem is of: what is known of it before it is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtctl.recipes.recipe import LanderRecipe, Recipe, WindowsRecipe

if TYPE_CHECKING:
    from mtctl.problems.contract import Problem


def problem_class(recipe: Recipe) -> type[Problem]:
    """Return the class whose `unit`, `item` and `score` a recipe's runs have."""
    match recipe:
        case LanderRecipe():
            from mtctl.problems.lander.problem import Lander  # noqa: PLC0415 - of lander recipes only

            return Lander
        case WindowsRecipe():
            from mtctl.problems.windows.problem import Windows  # noqa: PLC0415 - of windows recipes only

            return Windows
        case _:
            raise TypeError(f"no problem is built from a {type(recipe).__name__}")
