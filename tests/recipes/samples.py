"""What the tests of recipes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.problems.recipe import Recipe
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.loading import dump, load

Write = Callable[[str, str], Path]
Refusal = Callable[..., str]

MINIMAL = """\
name: mine
problem: {kind: lander}
agent: {kind: dqn}
balancer: {kind: equal}
"""
WINDOWS = """\
name: mine
problem: {kind: windows}
model: {kind: bilstm}
balancer: {kind: equal}
"""


def lander(reference: str | Path, overrides: Sequence[str] = ()) -> LanderRecipe:
    """Load a recipe of the lander family."""
    recipe = load(reference, overrides)
    assert isinstance(recipe, LanderRecipe)
    return recipe


def windows(reference: str | Path, overrides: Sequence[str] = ()) -> WindowsRecipe:
    """Load a recipe of the windows family."""
    recipe = load(reference, overrides)
    assert isinstance(recipe, WindowsRecipe)
    return recipe


def revise(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Write a recipe to a file, and load that with overrides."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(dump(recipe), encoding="utf-8")
        return load(path, overrides)
