"""What a diagnosis would train, told before it does."""

from __future__ import annotations

from mtctl.diagnosis.experiments.diagnose import diagnose_recipe
from mtctl.diagnosis.experiments.outline import outline
from mtctl.diagnosis.plan import Plan
from tests.diagnosis.experiments.small_recipes import small


def test_an_outline_has_remedies_and_times() -> None:
    recipe = small()
    plan = outline(recipe, seeds=(0, 1), verify=True)
    assert plan.task == recipe.problem.tasks[-1]
    assert "uncertainty" in [remedy.name for remedy in plan.remedies]
    assert 0 < plan.training < plan.learns < plan.stuck[0] < plan.stuck[1]
    unproven = outline(recipe, seeds=(0, 1), verify=False, task="ptr")
    assert (unproven.remedies, unproven.task) == ((), "ptr")


def test_remedies_are_announced_before_they_are_tried() -> None:
    told: list[Plan | str] = []
    found = diagnose_recipe(small(), seeds=(0,), verify=True, say=told.append, announce=told.append)
    plans = [(place, each) for place, each in enumerate(told) if isinstance(each, Plan)]
    (first, least), (last, exact) = plans
    assert (least.complete, exact.complete) == (False, True)
    assert exact.steps >= least.steps
    assert exact.seconds > 0
    assert told[last + 1] == "the recipe unchanged, every seed"
    assert len(told) - last - 1 == exact.steps == 1 + len(found.trials)
    assert told.index("training as is") < first < last


def test_without_proof_no_remedy_is_announced() -> None:
    told: list[Plan] = []
    diagnose_recipe(small(), seeds=(0,), verify=False, announce=told.append)
    assert {plan.steps for plan in told} == {0}
