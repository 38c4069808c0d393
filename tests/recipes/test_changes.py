"""A recipe with values changed: the same as its text with overrides, and as strict."""

from __future__ import annotations

import pytest

from mtctl.errors import MtctlError
from mtctl.problems.changes import Changes
from mtctl.recipes.loading import load
from mtctl.recipes.resolved import text
from tests.recipes.samples import revise

CHAIN = "gradnorm_pcgrad_blind"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("windows_documented", {"training.lr": 0.01}),
        ("windows_documented", {"training.gradient_clip": None, "model.standardise": ["ptr"]}),
        ("windows_documented", {"balancer": {"kind": "equal"}}),
        ("windows_documented", {"balancer": {"kind": "running_mean", "momentum": 0.5}}),
        ("windows_documented", {"training.head_lr": {"ptr": 2.0}, "training.head_lr.type": 3.0}),
        ("windows_documented", {"balancer.momentum": 0.5, "balancer": {"kind": "running_mean"}}),
        ("windows_documented", {"balancer": [{"kind": "gradnorm"}, {"kind": "pcgrad"}]}),
        (CHAIN, {"balancer.1.reduction": "mean"}),
        (CHAIN, {"balancer.0": {"kind": "uncertainty"}}),
        (CHAIN, {"balancer": {"kind": "equal"}}),
        ("best_aware", {"agent.replay": {"kind": "mixed"}, "agent.lr": 1e-5}),
    ],
)
def test_it_is_what_overrides_make_of_the_text(name: str, changes: Changes) -> None:
    recipe = load(name)
    before = recipe.model_dump()
    overrides = [f"{key}={text(value)}" for key, value in changes.items()]
    assert recipe.revised(changes) == revise(recipe, overrides) != recipe
    assert recipe.model_dump() == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training.lr": 0.0}, "training.lr: Input should be greater than 0"),
        ({"training.lr": "fast"}, "training.lr: Input should be a valid number"),
        ({"training.rate": 1.0}, "training.rate: Extra inputs are not permitted"),
        ({"training.lr.x": 1}, r"`training\.lr\.x`: there is no `x` here"),
        ({"problem.tasks.9": "ptr"}, r"`problem\.tasks\.9`: there is no `9` here"),
        ({"problem.tasks": ["ptr", "ptr"]}, "task `ptr` is listed more than once"),
        ({"balancer": {"kind": "manual", "weights": {"ptr": 1.0}}}, "`weights` has no value for"),
    ],
)
def test_what_is_no_recipe_is_refused(changes: Changes, said: str) -> None:
    with pytest.raises(MtctlError, match=said):
        load("windows_documented").revised(changes)
