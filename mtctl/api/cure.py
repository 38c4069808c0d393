"""The remedy that won, as a recipe that trains as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mtctl.diagnosis.report import Remedy
    from mtctl.problems.recipe import Recipe

_LONGEST_NAME: Final = 100
"""Characters of a recipe's name."""


def cured_recipe(recipe: Recipe, remedy: Remedy) -> Recipe:
    """Return a recipe with a remedy, whose name the recipe's then ends in, so that both can be compared."""
    suffix = "_" + re.sub(r"[^A-Za-z0-9._-]+", "_", remedy.name)
    name = recipe.name[: _LONGEST_NAME - len(suffix)] + suffix
    return recipe.revised({**remedy.changes, "name": name})
