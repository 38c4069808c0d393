"""From a recipe and a seed to the problem that it describes."""

from __future__ import annotations

from mtctl.problems.contract import Problem
from mtctl.recipes.recipe import LanderRecipe, Recipe, WindowsRecipe
from mtctl.recipes.sizes import require_memory


def build(recipe: Recipe, seed: int) -> Problem:
    """Return the recipe's problem, freshly initialised from `seed`.

    Raises:
        MtctlError: it does not fit into this machine's memory, or it cannot be built.
    """
    require_memory(recipe)
    match recipe:
        case LanderRecipe():
            from mtctl.problems.lander.problem import Lander  # noqa: PLC0415 - Box2D is for lander recipes only

            evaluation = recipe.evaluation
            averaging = evaluation.averaging if evaluation.policy == "averaged" else None
            return Lander(recipe.problem, recipe.agent, seed, averaging=averaging)
        case WindowsRecipe():
            from mtctl.problems.windows.problem import build as build_windows  # noqa: PLC0415 - as above

            return build_windows(recipe, seed)
        case _:
            raise TypeError(f"no problem is built from a {type(recipe).__name__}")
