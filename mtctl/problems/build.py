"""From a recipe and a seed to the problem that it describes."""

from __future__ import annotations

from mtctl.problems.contract import Problem
from mtctl.recipes.recipe import Recipe


def build(recipe: Recipe, seed: int) -> Problem:
    """Return the recipe's problem, freshly initialised from `seed`."""
    from mtctl.problems.lander.problem import Lander  # noqa: PLC0415 - Box2D is needed by lander recipes only

    return Lander(recipe.problem, recipe.agent, seed)
