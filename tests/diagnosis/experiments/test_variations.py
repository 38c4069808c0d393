from __future__ import annotations

import pytest

from mtctl.diagnosis.experiments import variations
from mtctl.problems.windows.recipe import WindowsRecipe
from tests.diagnosis.experiments.small_recipes import small

WEIGHTS = "{type: 0.1, ptr: 0.7, binary: 0.1, countdown: 0.1}"
BASES = {
    "equal": small(),
    "raw": small("model.standardise=[]"),
    "manual": small(f"balancer={{kind: manual, weights: {WEIGHTS}}}"),
    "documented": small(f"balancer={{kind: running_mean, base_weights: {WEIGHTS}}}", "model.standardise=[]"),
    "chain": small("balancer=[{kind: gradnorm}, {kind: pcgrad}]"),
    "heads": small("training.head_lr={countdown: 20.0}", "training.gradient_clip=1.0"),
    "sgd": small("training.optimizer=sgd"),
}


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["type", "countdown"])
def test_every_variation_of_any_recipe_is_a_recipe(recipe: WindowsRecipe, task: str) -> None:
    alone = variations.varied(recipe, variations.alone(task))
    assert alone.problem.tasks == (task,)
    assert variations.is_plain(alone)
    assert task in variations.varied(recipe, variations.standardised(recipe, task)).model.standardise
    equal = variations.varied(recipe, variations.equalised(3.0))
    assert [method.kind for method in equal.chain] == ["encodec"]
    faster = variations.varied(recipe, variations.learning_rate(recipe, 3))
    assert faster.training.lr == pytest.approx(3 * recipe.training.lr)
    summed = variations.varied(recipe, variations.summed(recipe, task))
    assert len(summed.problem.faults) == len(recipe.problem.faults) + 1
    learned = variations.varied(recipe, variations.by_heart(recipe, task)).training
    assert (learned.optimizer, learned.lr, learned.gradient_clip) == ("adam", variations.HEART_LR, None)
    assert dict(learned.head_lr.items())[task] == 1.0


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["ptr", "countdown"])
def test_every_remedy_changes_the_recipe(recipe: WindowsRecipe, task: str) -> None:
    found = variations.remedies(recipe, task)
    assert len({remedy.name for remedy in found}) == len(found) > 3
    assert all(variations.varied(recipe, remedy.overrides) != recipe for remedy in found)
    assert ("scalar_countdown" in {remedy.name for remedy in found}) == (task == "countdown")


def test_what_changes_nothing_is_no_remedy() -> None:
    names = {remedy.name for remedy in variations.remedies(small(), "ptr")}
    assert not names & {"raw", "standardise", "standardise_all_raw"}


def test_manual_weights_are_the_documented_fix() -> None:
    manual = next(
        one for one in variations.remedies(BASES["documented"], "countdown") if one.name == "manual"
    )
    method = variations.varied(BASES["documented"], manual.overrides).chain[0]
    assert method.model_dump()["base_weights"] == {"type": 0.1, "ptr": 0.6, "binary": 0.1, "countdown": 0.2}


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
def test_tasks_can_be_left_out(recipe: WindowsRecipe) -> None:
    rest = variations.without(recipe, ["ptr", "type"])
    assert rest.problem.tasks == ("binary", "countdown")
    assert set(variations.base_weights(rest)) == {"binary", "countdown"}
    assert rest.training == recipe.training
