"""What the tests of recipes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes.loading import load

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
