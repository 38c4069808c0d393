from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.hybrid_study import BASELINE, RECIPES, STEPS, Outcome, keep, kept, read, table
from mtctl.recipes.loading import load, recipe_hash
from tests.engine.runs import execute


def outcome(arm: str, seed: int, mean: float, **more: object) -> Outcome:
    return Outcome(arm, "moving", seed, mean, 0.9, 0.4, 0.25, 60.0, **more)  # type: ignore[arg-type]


def test_differences_are_paired_by_seed() -> None:
    found = [
        outcome(BASELINE, 0, 1.0),
        outcome(BASELINE, 1, 2.0),
        outcome("hybrid_pcgrad", 1, 2.5),
        outcome("hybrid_pcgrad", 0, 1.5),
        outcome("hybrid_pcgrad", 2, float("nan"), failed=True),
    ]
    columns = {str(each.header): list(each.cells) for each in table("moving", found).columns}
    assert columns["difference"] == ["–", "0.50 [0.50, 0.50]"]
    assert columns["failed"] == ["0", "1"]
    assert columns["half-way"] == ["25 %", "25 %"]


def test_what_is_kept_of_other_runs_stays(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    keep([outcome(BASELINE, 0, 1.0), outcome(BASELINE, 1, 2.0)], path)
    keep([outcome(BASELINE, 0, 3.0)], path)
    assert [each.mean for each in kept(path)] == [3.0, 2.0]


def test_every_arm_is_a_recipe_that_differs_from_the_others() -> None:
    budget = f"problem.environment_steps={STEPS}"
    recipes = [load(recipe, [budget, *changes]) for recipe, changes in RECIPES.values()]
    assert len({recipe_hash(recipe) for recipe in recipes}) == len(RECIPES)


def test_a_run_is_read_with_what_it_came_to(tmp_path: Path) -> None:
    small = [
        "problem.copies=16",
        "agent.steps=16",
        "agent.minibatch=64",
        "problem.environment_steps=1024",
        "evaluation.every=1",
        "evaluation.episodes=4",
        "evaluation.final_episodes=8",
        "monitor.every=1",
    ]
    execute(load("hybrid_fixed", small), 0, tmp_path / "run")
    found = read(tmp_path / "run", BASELINE, "moving")
    assert (found.environment, found.seed, found.failed) == ("moving", 0, False)
    assert 0 < found.continuous < 1
    assert found.mean == pytest.approx(-1.2, abs=0.8)
