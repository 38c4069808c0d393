from __future__ import annotations

from collections.abc import Iterator

import pytest

from mtctl.diagnosis.experiments import variations
from mtctl.diagnosis.thresholds import HEART_LR
from mtctl.problems.changes import Changes
from mtctl.problems.windows.recipe import WindowsRecipe
from tests.diagnosis.experiments.small_recipes import small
from tests.recipes.samples import revise

WEIGHTS = "{type: 0.1, ptr: 0.7, binary: 0.1, countdown: 0.1}"
BASES = {
    "equal": small(),
    "raw": small("model.standardise=[]"),
    "manual": small(f"balancer={{kind: manual, weights: {WEIGHTS}}}"),
    "documented": small(f"balancer={{kind: running_mean, base_weights: {WEIGHTS}}}", "model.standardise=[]"),
    "patient": small(f"balancer={{kind: running_mean, base_weights: {WEIGHTS}, momentum: 0.5}}"),
    "chain": small("balancer=[{kind: gradnorm}, {kind: pcgrad}]"),
    "heads": small("training.head_lr={countdown: 20.0}", "training.gradient_clip=1.0"),
    "sgd": small("training.optimizer=sgd"),
}


def changes(recipe: WindowsRecipe, task: str) -> Iterator[Changes]:
    """Yield what every experiment and every remedy changes."""
    yield variations.alone(task)
    yield variations.standardised(recipe, task)
    yield variations.equalised(3.0)
    yield variations.learning_rate(recipe, 1e-4)
    yield variations.summed(recipe, task)
    yield variations.pampered(recipe, task)
    yield variations.by_heart(recipe, task)
    yield from (remedy.changes for remedy in variations.remedies(recipe, task))


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["type", "countdown"])
def test_what_is_shown_as_overrides_gives_the_recipe_that_was_trained(
    recipe: WindowsRecipe, task: str
) -> None:
    for change in changes(recipe, task):
        assert revise(recipe, variations.overrides(change)) == recipe.revised(change)
    for remedy in variations.remedies(recipe, task):
        assert remedy.overrides == variations.overrides(remedy.changes)


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["type", "countdown"])
def test_every_variation_of_any_recipe_is_a_recipe(recipe: WindowsRecipe, task: str) -> None:
    alone = recipe.revised(variations.alone(task))
    assert alone.problem.tasks == (task,)
    assert [method.kind for method in alone.chain] == ["equal"]
    assert task in recipe.revised(variations.standardised(recipe, task)).model.standardise
    equal = recipe.revised(variations.equalised(3.0))
    assert [method.kind for method in equal.chain] == ["encodec"]
    faster = recipe.revised(variations.learning_rate(recipe, 3))
    assert faster.training.lr == pytest.approx(3 * recipe.training.lr)
    summed = recipe.revised(variations.summed(recipe, task))
    assert summed.training.loss_factor == {task: float(variations.OUTPUTS[task])}
    twice = summed.revised(variations.summed(summed, task)).training.loss_factor
    assert twice == {task: float(variations.OUTPUTS[task] ** 2)}
    learned = recipe.revised(variations.by_heart(recipe, task)).training
    assert (learned.optimizer, learned.lr, learned.gradient_clip) == ("adam", HEART_LR, None)
    assert learned.head_lr == {**recipe.training.head_lr, task: 1.0}


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["ptr", "countdown"])
def test_every_remedy_changes_the_recipe(recipe: WindowsRecipe, task: str) -> None:
    found = variations.remedies(recipe, task)
    assert len({remedy.name for remedy in found}) == len(found) > 3
    assert all(recipe.revised(remedy.changes) != recipe for remedy in found)
    assert ("scalar_countdown" in {remedy.name for remedy in found}) == (task == "countdown")


def test_what_changes_nothing_is_no_remedy() -> None:
    names = {remedy.name for remedy in variations.remedies(small(), "ptr")}
    assert not names & {"raw", "standardise", "standardise_all_raw"}


@pytest.mark.parametrize("base", ["documented", "patient"])
def test_manual_weights_are_the_documented_fix(base: str) -> None:
    recipe = BASES[base]
    manual = next(one for one in variations.remedies(recipe, "countdown") if one.name == "manual")
    before, after = recipe.chain[0].model_dump(), recipe.revised(manual.changes).chain[0].model_dump()
    assert after == {**before, "base_weights": {"type": 0.1, "ptr": 0.6, "binary": 0.1, "countdown": 0.2}}


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
def test_tasks_can_be_left_out(recipe: WindowsRecipe) -> None:
    rest = variations.without(recipe, ["ptr", "type"])
    assert rest.problem.tasks == ("binary", "countdown")
    assert set(variations.base_weights(rest)) == {"binary", "countdown"}
    assert rest.training == recipe.training
