"""Recipes with faults: they are recipes, what is changed in them leaves the faults, and a misfit is told."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from benchmarks.faults import PlantedWindows, planted
from mtctl.problems.kinds import build
from tests.benchmarks.faults.small import fault
from tests.diagnosis.experiments.small_recipes import small


@pytest.mark.parametrize(
    "chosen",
    [
        fault("shuffled_targets", "type"),
        fault("constant_targets", "binary"),
        fault("missing_targets", "ptr", fraction=0.5),
        fault("scaled_targets", "countdown", factor=50.0),
        fault("shuffled_inputs"),
        fault("detached", "type"),
        fault("not_in_optimizer", "type"),
        fault("frozen_trunk"),
        fault("saturated_head", "binary"),
        fault("dead_head", "countdown"),
        fault("contradiction", "ptr", by="countdown"),
        fault("reversed_gradient", "ptr"),
    ],
    ids=lambda chosen: str(chosen["kind"]),
)
def test_faults_stay_where_they_are_and_are_trained_with(chosen: dict[str, Any]) -> None:
    recipe = planted(small(), chosen)
    changed = recipe.revised({"training.lr": 1e-4})
    assert [one.kind for one in changed.problem.faults] == [chosen["kind"]]
    assert changed != recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert isinstance(build(recipe, 0), PlantedWindows)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([fault("scaled_targets", "type", factor=2.0)], "'ptr' or 'countdown'"),
        ([fault("saturated_head", "type")], "'binary'"),
        ([fault("missing_targets", "ptr", fraction=0.0)], "greater than 0"),
        ([fault("contradiction", "ptr", by="ptr")], "a task cannot contradict itself"),
        (
            [fault("contradiction", "ptr", by="type"), fault("contradiction", "countdown", by="ptr")],
            "task `ptr` is in another contradiction already",
        ),
    ],
)
def test_what_cannot_be_planted_is_refused(chosen: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        planted(small(), *chosen)
