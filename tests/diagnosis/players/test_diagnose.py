"""What a diagnosis of a player tries, in which order, and what it says of it; trainings are scripted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.diagnose import diagnose_recipe
from mtctl.diagnosis.players import diagnose
from mtctl.diagnosis.players.diagnose import _Examination
from mtctl.diagnosis.players.laboratory import Laboratory
from mtctl.diagnosis.report import Diagnosis, Finding
from mtctl.errors import MtctlError
from mtctl.problems.kinds import kind_of
from mtctl.problems.lander.alternatives import alternatives
from mtctl.problems.lander.recipe import LanderRecipe
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import load
from tests.diagnosis.players.scripted import Scripted, Skills

RANDOM = {"standard": -200.6, "windy": -265.0, "heavy": -161.0}
SEEDS = (0, 1, 2, 3)
NOISE = (3.0, -4.0, 1.0, -2.0)


def at(**skills: float) -> dict[str, float]:
    """Return mean returns at these skills; 0.5 for tasks that are not named."""
    return {task: low + skills.get(task, 0.5) * (200 - low) for task, low in RANDOM.items()}


def diagnosed(
    crew: Scripted, recipe: Recipe, seeds: tuple[int, ...] = SEEDS, task: str | None = None, **limits: Any
) -> Diagnosis:
    playing = kind_of(recipe).playing
    assert playing is not None
    known = playing().references(recipe)
    laboratory = Laboratory(
        recipe, seeds, 20, known, crew, limits.get("deadline"), lambda _: None, lambda _: None
    )
    laboratory.train_as_is(seeds[:2])
    return _Examination(laboratory, playing(), task, shortened=limits.get("shortened", True)).diagnose()


def first(diagnosis: Diagnosis) -> Finding:
    return diagnosis.findings[0]


def lander(*overrides: str) -> LanderRecipe:
    recipe = load("shared_blind", overrides)
    assert isinstance(recipe, LanderRecipe)
    return recipe


def curing(key: str, value: Any, **skills: float) -> Skills:
    """Return what trainings come to: as is these skills; 0.9 for all where a setting has a value."""

    def returns(recipe: Recipe, seed: int) -> Mapping[str, float]:
        found: Any = recipe.model_dump(mode="json")
        for part in key.split("."):
            found = found[part]
        tasks = recipe.problem.tasks
        told = at(standard=0.9, windy=0.9, heavy=0.9) if found == value else at(**skills)
        return {task: told[task] + NOISE[seed] * (1 + (found == value)) for task in tasks}

    return returns


@pytest.mark.parametrize(
    ("override", "key", "value", "code"),
    [
        ("agent.gamma=0.5", "agent.gamma", 0.99, Code.DISCOUNT),
        ("agent.lr=1e-7", "agent.lr", 1e-3, Code.LEARNING_RATE),
        ("agent.replay.learning_starts=20000", "agent.replay.learning_starts", 256, Code.REPLAY_STARVATION),
        ("agent.target={kind: episodes, every: 400}", "agent.target.kind", "soft", Code.TARGET_NETWORK),
        ("agent.exploration.end=0.8", "agent.exploration.end", 0.01, Code.EXPLORATION),
        ("agent.reward_scale.factor=1000", "agent.reward_scale.factor", 0.01, Code.REWARD_SCALE),
        ("agent.update_every=500", "agent.update_every", 8, Code.BATCHES),
        ("agent.hidden=[1]", "agent.hidden", [256, 128], Code.CAPACITY),
        ("balancer={kind: manual, weights: {windy: 1e-6, standard: 1, heavy: 1}}", "balancer.kind", "equal",
         Code.BALANCER_SETTINGS),
    ],
)  # fmt: skip
def test_the_setting_that_cures_is_named_and_proven(override: str, key: str, value: Any, code: Code) -> None:
    crew = Scripted(curing(key, value, windy=0.0))
    found = diagnosed(crew, lander(override))
    assert (first(found).code, first(found).task, first(found).confidence) == (code, "windy", "measured")
    assert first(found).severity == "error"
    assert found.winner is not None
    assert found.winner.verdict == "helps"
    assert found.winner.improvement is not None
    assert found.winner.improvement.n == 3
    assert found.stuck == "windy"


def test_of_many_settings_those_that_help_together_are_tried_one_by_one() -> None:
    crew = Scripted(curing("agent.gamma", 0.99, windy=0.0))
    recipe = load("published/gradnorm_aware", ["agent.gamma=0.3", "problem.tasks=[standard,windy,heavy]"])
    assert isinstance(recipe, LanderRecipe)
    found = diagnosed(crew, recipe)
    assert first(found).code == Code.DISCOUNT
    assert [each.name for each in found.experiments][:2] == ["as is", "usual settings, all together"]
    # 2 as is, then all, alone, weights and encoding, then every setting, then 3 proofs and the rest as is.
    settings = [
        each for each in alternatives(recipe, "windy") if each.aspect not in ("alone", "weights", "encoding")
    ]
    assert len(crew.orders) == 2 + 4 + len(settings) + 2 + 3 * min(3, 2)


def test_settings_are_left_alone_where_all_of_them_together_gain_nothing() -> None:
    recipe = load("published/gradnorm_aware", ["problem.tasks=[standard,windy,heavy]"])
    crew = Scripted(lambda recipe, seed: {task: at(windy=0.3)[task] for task in recipe.problem.tasks})
    found = diagnosed(crew, recipe)
    assert len(crew.orders) == 2 + 4
    left = [each.name for each in found.checks if each.detail.startswith("all usual settings together")]
    assert len(left) >= 5
    assert found.trials == ()


def test_a_task_that_learns_alone_is_hindered_and_alone_is_no_remedy() -> None:
    def returns(recipe: Recipe, seed: int) -> Mapping[str, float]:
        alone = len(recipe.problem.tasks) == 1
        return {
            task: at(windy=0.9 if alone else 0.0)[task] + NOISE[seed] * (1 + alone)
            for task in recipe.problem.tasks
        }

    found = diagnosed(Scripted(returns), lander())
    assert (first(found).code, first(found).task) == (Code.INTERFERENCE, "windy")
    assert found.winner is None


def test_nothing_is_tried_for_a_player_that_plays_well() -> None:
    crew = Scripted(lambda recipe, seed: at(standard=1.2, windy=0.95, heavy=1.0))
    found = diagnosed(crew, lander())
    assert len(crew.orders) == 2
    assert [each.state for each in found.states] == ["learns"] * 3
    assert not [each for each in found.findings if each.severity == "error"]


def test_an_accident_of_the_first_seed_is_not_proven_by_the_others() -> None:
    def returns(recipe: Recipe, seed: int) -> Mapping[str, float]:
        lucky = recipe.problem.tasks == ("windy",) and seed == 0
        return {task: at(windy=0.8 if lucky else 0.3)[task] + NOISE[seed] for task in recipe.problem.tasks}

    found = diagnosed(Scripted(returns), lander())
    assert not [each for each in found.findings if each.confidence == "measured"]


def test_a_policy_below_random_play_that_nothing_mends() -> None:
    crew = Scripted(lambda recipe, seed: {task: at(windy=-0.6)[task] for task in recipe.problem.tasks})
    found = diagnosed(crew, lander("agent.gamma=0.5"))
    assert (first(found).code, first(found).task) == (Code.WORSE_THAN_RANDOM, "windy")


def test_a_task_that_nothing_teaches() -> None:
    crew = Scripted(lambda recipe, seed: {task: at(windy=0.01)[task] for task in recipe.problem.tasks})
    found = diagnosed(crew, lander("agent.gamma=0.5"))
    assert (first(found).code, first(found).severity) == (Code.UNLEARNABLE, "error")


@pytest.mark.parametrize("shortened", [True, False])
def test_a_recipe_of_its_own_length_may_need_a_greater_one(shortened: bool) -> None:
    recipe = lander("problem.episodes_per_task=50")

    def returns(recipe: Recipe, seed: int) -> Mapping[str, float]:
        longer = recipe.units == 450
        skill = 0.8 if longer else 0.3
        noise = NOISE[seed] * (1 + longer)
        return {
            task: at(standard=skill, windy=skill, heavy=skill)[task] + noise for task in recipe.problem.tasks
        }

    found = diagnosed(Scripted(returns), recipe, shortened=shortened)
    named = [(each.code, each.severity) for each in found.findings if each.confidence == "measured"]
    assert named == ([] if shortened else [(Code.BUDGET_TOO_SMALL, "warning")])


def test_episodes_that_run_out_of_time() -> None:
    crew = Scripted(lambda recipe, seed: at(standard=0.95, windy=0.95, heavy=0.95), outcome="timed_out")
    found = diagnosed(crew, lander())
    assert {each.task for each in found.findings if each.code == Code.HOVERING} == set(RANDOM)


def test_the_task_that_is_asked_for_is_examined() -> None:
    crew = Scripted(curing("agent.gamma", 0.99, heavy=0.3, windy=0.0))
    found = diagnosed(crew, lander("agent.gamma=0.5"), task="heavy")
    assert found.stuck == "heavy"
    assert {each.task for each in found.experiments} == {"heavy"}


def test_with_one_seed_a_large_gain_is_a_likely_cause() -> None:
    found = diagnosed(Scripted(curing("agent.gamma", 0.99, windy=0.0)), lander("agent.gamma=0.5"), seeds=(0,))
    assert (first(found).code, first(found).confidence) == (Code.DISCOUNT, "likely")
    assert found.winner is None


def test_what_there_is_no_time_for_is_told() -> None:
    crew = Scripted(curing("agent.gamma", 0.99, windy=0.0))
    found = diagnosed(crew, lander("agent.gamma=0.5"), deadline=time.monotonic() - 1)
    assert len(crew.orders) == 2
    left = {each.name for each in found.checks if each.detail == "the time limit of --budget was reached"}
    assert "experiment: discount 0.99" in left


@pytest.mark.parametrize(("alone", "severity"), [(0.3, "info"), (0.9, "warning")])
def test_what_records_suggest_is_tested(alone: float, severity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def returns(recipe: Recipe, seed: int) -> Mapping[str, float]:
        skill = alone if len(recipe.problem.tasks) == 1 else 0.3
        return {task: at(windy=skill)[task] for task in recipe.problem.tasks}

    told = Finding(Code.CONFLICT, "standard", "warning", "likely", "gradients oppose each other")
    records = diagnose._by_records

    def with_suspicion(*arguments: Any) -> Diagnosis:
        return replace(records(*arguments), findings=(told,))

    monkeypatch.setattr(diagnose, "_by_records", with_suspicion)
    found = diagnosed(Scripted(returns), lander())
    assert [each.severity for each in found.findings if each.task == "standard"] == [severity]


@pytest.mark.parametrize("verify", [True, False])
def test_a_recipe_that_cannot_be_trained_is_an_error(verify: bool) -> None:
    tiny = ["problem.copies=8", "agent.steps=16", "agent.minibatch=64", "problem.environment_steps=256"]
    with pytest.raises(MtctlError, match="GradNorm's ratio"):
        diagnose_recipe(load("hybrid_gradnorm", [*tiny, "balancer.alpha=1.5"]), seeds=(0,), verify=verify)
