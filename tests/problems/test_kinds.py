"""What the registry says of a kind of problem is what its problems say, once one is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mtctl.diagnosis.report import Subject
from mtctl.problems.kinds import KINDS, build, kind_of
from mtctl.recipes import builtin
from mtctl.recipes.loading import load
from tests.problems.python.recipes import own

RECIPES = {
    "lander": load("gradnorm_blind"),
    "windows": load("windows_raw"),
    "python": own(),
    "hybrid": load("hybrid_fixed"),
}


def test_every_kind_that_needs_no_file_of_a_user_has_a_built_in_recipe() -> None:
    assert RECIPES.keys() == KINDS.keys()
    assert {load(name).problem.kind for name in builtin.names()} == KINDS.keys() - {"python"}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_describes_its_problems(name: str) -> None:
    recipe = RECIPES[name]
    kind = kind_of(recipe)
    problem = build(recipe, 0)
    assert (kind.unit, kind.item, kind.figures) == (problem.unit, problem.item, problem.figures)
    known: dict[str, Any] = (
        {} if kind.score.outcomes else {"success": None, "outcomes": ()}
    )  # an environment may tell more
    assert kind.score == replace(problem.score, **known)
    assert kind.played == ("environment_steps" in problem.budget())
    assert str(problem.device) == recipe.device
    assert kind.recipe is type(recipe)
    assert recipe.problem.kind == kind.name == name
    assert recipe.lasting(recipe.units) == recipe
    assert recipe.lasting(2 * recipe.units).units == 2 * recipe.units


def test_of_a_metrics_file_nothing_is_known() -> None:
    assert Subject("metrics", "a.csv", "", "step", 9, None, (), ("a",)).played is None
