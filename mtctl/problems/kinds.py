"""Which class a recipe's problem is of: what is known of it before it is built."""

from __future__ import annotations

from mtctl.problems.contract import Problem
from mtctl.recipes.recipe import Recipe, WindowsRecipe


def problem_class(recipe: Recipe) -> type[Problem]:
    """Return the class whose `unit`, `item` and `score` a recipe's runs have."""
    if isinstance(recipe, WindowsRecipe):
        from mtctl.problems.windows.problem import WindowsTraining  # noqa: PLC0415 - of windows recipes only

        return WindowsTraining
    from mtctl.problems.lander.problem import Lander  # noqa: PLC0415 - of lander recipes only

    return Lander
