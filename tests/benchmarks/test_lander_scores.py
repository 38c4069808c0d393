"""Runs become small arrays, and arrays become the tables of the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import lander_recipes, lander_scores
from benchmarks.lander_ablation import arms
from benchmarks.lander_scores import (
    Arm,
    Scores,
    Trained,
    keep,
    kept,
    read_scores,
    score_table,
    train,
)
from mtctl.recipes.loading import load
from mtctl.recipes.resolved import recipe_hash
from tests.history.runs_factory import TASKS, write_run


def scores(seed: int, *means: float) -> Scores:
    returns = {task: [mean - 100.0, mean + 100.0] for task, mean in zip(TASKS, means, strict=True)}
    ends = {task: {"landed": 1, "crashed": 0, "timed_out": 1} for task in TASKS}
    return Scores(seed, 100.0, 5000, 1250, returns, ends)


def test_a_run_is_read(tmp_path: Path) -> None:
    returns = {"standard": [250.0, 150.04], "windy": [10.0, 20.0], "heavy": [-5.0, 5.0]}
    found = read_scores(write_run(tmp_path, "one", 3, returns=returns))
    assert found.seed == 3
    assert (found.environment_steps, found.updates, found.seconds) == (612_345, 611_000, 512.3)
    assert found.returns == {**returns, "standard": [250.0, 150.0]}
    assert sum(found.outcomes["windy"].values()) == 2
    assert found.average == pytest.approx((200 + 15 + 0) / 3)


def test_an_arm_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lander_scores, "EPISODES", 10)
    small = ("problem.tasks=[heavy]", "problem.episodes_per_task=2", "evaluation.every=0")
    arm = Arm("heavy, alone", "equal_blind", small)
    first = train(arm, lander_recipes.ONE, 1, tmp_path)
    (run,) = first.runs
    assert (run.seed, len(run.returns["heavy"])) == (0, 10)
    assert train(arm, lander_recipes.ONE, 1, tmp_path) == first


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    arm = Arm("a", "gradnorm_blind", ("agent.n_step=1",))
    trained = [
        Trained(arm, [scores(0, 1, 2, 3), scores(1, 4, 5, 6)]),
        Trained(Arm("b", "equal_blind"), [scores(7, 7, 8, 9)]),
    ]
    keep(trained, tmp_path / "kept.json", {"machine": "x"})
    assert kept(tmp_path / "kept.json") == trained


def test_what_is_kept_of_other_arms_stays(tmp_path: Path) -> None:
    path, (one, other) = tmp_path / "kept.json", (Arm(name, "equal_blind") for name in "ab")
    keep([Trained(one, [scores(0, 1, 2, 3)]), Trained(other, [scores(0, 4, 5, 6)])], path, {})
    keep([Trained(one, [scores(0, 7, 8, 9)])], path, {})
    assert kept(path) == [Trained(one, [scores(0, 7, 8, 9)]), Trained(other, [scores(0, 4, 5, 6)])]


def test_the_table_compares_seed_by_seed() -> None:
    best = Trained(Arm("best", "equal_blind"), [scores(0, 200, 200, 200), scores(1, 300, 300, 300)])
    worse = Trained(Arm("worse", "multihead_blind"), [scores(1, 290, 290, 290), scores(0, 190, 190, 190)])
    columns = {str(each.header): list(each.cells) for each in score_table([best, worse], best).columns}
    assert columns["difference"] == ["–", "-10.0 [-10.0, -10.0]"]
    assert columns["lowest seed"] == ["200.0", "190.0"]
    assert columns["windy"] == ["250.0", "240.0"]
    assert columns["≥ 200"] == ["75 / 75 / 75 %", "50 / 50 / 50 %"]
    assert columns["timed out"] == ["50 / 50 / 50 %"] * 2
    assert columns["parameters"] == ["35,716", "36,748"]
    assert "difference" not in [each.header for each in score_table([best]).columns]


def test_every_arm_is_a_recipe_that_differs_from_the_others() -> None:
    for found in (arms("gradnorm_blind"), [arm for arm, _ in lander_recipes.arms()]):
        recipes = [load(arm.recipe, arm.settings) for arm in found]
        assert len({recipe_hash(recipe) for recipe in recipes}) == len(found) > 8
        assert len({recipe.name for recipe in recipes}) == len(found)
