from __future__ import annotations

from collections.abc import Iterator

import pytest

from mtctl.diagnosis.experiments import variations
from mtctl.diagnosis.experiments.course import supervised
from mtctl.diagnosis.report import Remedy
from mtctl.diagnosis.thresholds import HEART_LR
from mtctl.problems.changes import Changes
from mtctl.problems.supervised.interventions import (
    RAW,
    Intervention,
    LossFactor,
    Only,
    Rate,
    Standardised,
)
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.problems.windows.targets import OUTPUTS
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
    yield recipe.changes(Only((task,)), RAW)
    yield recipe.changes(Standardised((task,)))
    yield recipe.changes(variations.equalised(3.0))
    yield recipe.changes(Rate(1e-4))
    yield recipe.changes(LossFactor(task, OUTPUTS[task]))
    yield recipe.changes(*variations.pampered(task))
    yield recipe.changes(*variations.by_heart(task, 16))
    yield from (remedy.changes for remedy in remedies(recipe, task))


def remedies(recipe: WindowsRecipe, task: str) -> list[Remedy]:
    return variations.remedies(recipe, supervised(recipe, 0), task)


def varied(recipe: WindowsRecipe, *interventions: Intervention) -> WindowsRecipe:
    return recipe.revised(recipe.changes(*interventions))


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["type", "countdown"])
def test_what_is_shown_as_overrides_gives_the_recipe_that_was_trained(
    recipe: WindowsRecipe, task: str
) -> None:
    for change in changes(recipe, task):
        assert revise(recipe, variations.overrides(change)) == recipe.revised(change)
    for remedy in remedies(recipe, task):
        assert remedy.overrides == variations.overrides(remedy.changes)


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["type", "countdown"])
def test_every_variation_of_any_recipe_is_a_recipe(recipe: WindowsRecipe, task: str) -> None:
    alone = varied(recipe, Only((task,)), RAW)
    assert alone.problem.tasks == (task,)
    assert [method.kind for method in alone.chain] == ["equal"]
    assert task in varied(recipe, Standardised((task,))).model.standardise
    equal = varied(recipe, variations.equalised(3.0))
    assert [method.kind for method in equal.chain] == ["encodec"]
    faster = varied(recipe, Rate(3))
    assert faster.training.lr == pytest.approx(3 * recipe.training.lr)
    summed = varied(recipe, LossFactor(task, OUTPUTS[task]))
    assert summed.training.loss_factor == {task: float(OUTPUTS[task])}
    twice = varied(summed, LossFactor(task, OUTPUTS[task])).training.loss_factor
    assert twice == {task: float(OUTPUTS[task] ** 2)}
    learned = varied(recipe, *variations.by_heart(task, 16)).training
    assert (learned.optimizer, learned.lr, learned.gradient_clip) == ("adam", HEART_LR, None)
    assert learned.head_lr[task] == 1.0


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
@pytest.mark.parametrize("task", ["ptr", "countdown"])
def test_every_remedy_changes_the_recipe(recipe: WindowsRecipe, task: str) -> None:
    found = remedies(recipe, task)
    assert len({remedy.name for remedy in found}) == len(found) > 3
    assert all(recipe.revised(remedy.changes) != recipe for remedy in found)
    assert ("scalar_countdown" in {remedy.name for remedy in found}) == (task == "countdown")


def test_what_changes_nothing_is_no_remedy() -> None:
    names = {remedy.name for remedy in remedies(small(), "ptr")}
    assert not names & {"raw", "standardise", "standardise_all_raw"}


@pytest.mark.parametrize("base", ["documented", "patient"])
def test_manual_weights_are_the_documented_fix(base: str) -> None:
    recipe = BASES[base]
    manual = next(one for one in remedies(recipe, "countdown") if one.name == "manual")
    before, after = recipe.chain[0].model_dump(), recipe.revised(manual.changes).chain[0].model_dump()
    assert after == {**before, "base_weights": {"type": 0.1, "ptr": 0.6, "binary": 0.1, "countdown": 0.2}}


@pytest.mark.parametrize("recipe", BASES.values(), ids=BASES)
def test_tasks_can_be_left_out(recipe: WindowsRecipe) -> None:
    rest = recipe.without(["ptr", "type"])
    assert rest.problem.tasks == ("binary", "countdown")
    assert set(variations.base_weights(rest)) == {"binary", "countdown"}
    assert rest.training == recipe.training
