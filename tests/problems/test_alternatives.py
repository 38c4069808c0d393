"""What a diagnosis of a player tries stands beside the recipes that it was taken from."""

from __future__ import annotations

from typing import Any

import pytest

from mtctl.problems.hybrid.alternatives import USUAL as HYBRID
from mtctl.problems.kinds import KINDS, kind_of
from mtctl.problems.lander.alternatives import USUAL as LANDER
from mtctl.problems.playing import otherwise
from mtctl.recipes import builtin
from mtctl.recipes.loading import load

PLAYED = [name for name in builtin.names() if kind_of(load(name)).playing is not None]


@pytest.mark.parametrize(("name", "usual"), [("equal_blind", LANDER), ("hybrid_fixed", HYBRID)])
def test_usual_settings_are_those_of_the_recipes_that_learn(name: str, usual: Any) -> None:
    recipe = load(name)
    odd = {key for _, _, settings in usual for key in otherwise(recipe, settings)}
    # ε falls within so many episodes, however long the run is: the base recipe counts steps.
    assert odd <= {"agent.exploration"}


@pytest.mark.parametrize("name", PLAYED)
def test_every_alternative_is_another_valid_recipe(name: str) -> None:
    recipe = load(name)
    playing = kind_of(recipe).playing
    assert playing is not None
    for task in recipe.scored:
        found = list(playing().alternatives(recipe, task))
        assert len({each.title for each in found}) == len(found)
        for each in found:
            if each.aspect in ("alone", "encoding", "weights", "network"):
                continue  # some networks need several tasks, or to be told them: then it is left out
            assert recipe.revised(each.changes) != recipe


@pytest.mark.parametrize("name", PLAYED)
def test_what_is_tried_is_not_what_the_recipe_says(name: str) -> None:
    recipe = load(name)
    playing = kind_of(recipe).playing
    assert playing is not None
    for each in playing().alternatives(recipe, recipe.scored[0]):
        assert otherwise(recipe, each.changes) or each.aspect in ("alone", "exploration")


def test_every_kind_that_is_played_says_how_it_is_diagnosed() -> None:
    assert all((kind.playing is not None) == kind.played for kind in KINDS.values())
    assert all(kind.playing().seconds >= 60 for kind in KINDS.values() if kind.playing is not None)
