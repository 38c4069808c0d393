"""What the registry says of a kind of problem is what its problems say, once one is built."""

from __future__ import annotations

import pytest

from mtctl.diagnosis.report import Subject
from mtctl.problems.kinds import KINDS, build, kind_of
from mtctl.recipes import builtin
from mtctl.recipes.loading import load
from tests.problems.python.recipes import own

RECIPES = {"lander": load("gradnorm_blind"), "windows": load("windows_raw"), "python": own()}


def test_every_kind_that_needs_no_file_of_a_user_has_a_built_in_recipe() -> None:
    assert RECIPES.keys() == KINDS.keys()
    assert {load(name).problem.kind for name in builtin.names()} == KINDS.keys() - {"python"}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_describes_its_problems(name: str) -> None:
    recipe = RECIPES[name]
    kind = kind_of(recipe)
    problem = build(recipe, 0)
    assert (kind.unit, kind.item, kind.score) == (problem.unit, problem.item, problem.score)
    assert kind.played == ("environment_steps" in problem.budget())
    assert str(problem.device) == recipe.device
    assert kind.recipe is type(recipe)
    assert recipe.problem.kind == kind.name == name
    assert recipe.units % recipe.budget_value == 0
    assert recipe.lasting(2 * recipe.units).budget_value == 2 * recipe.budget_value


def test_of_a_metrics_file_nothing_is_known() -> None:
    assert Subject("metrics", "a.csv", "", "step", 9, None, (), ("a",)).played is None
