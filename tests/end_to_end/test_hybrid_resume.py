"""Hybrid training that is killed and resumed, or has company, records what one left alone does."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mtctl.recipes.loading import load
from tests.cli.conftest import Command
from tests.end_to_end.command import Result, episodes, finish, mtctl, start, wait_until
from tests.engine.runs import assert_same_training, execute, run_json

SMALL = (
    "problem.copies=8",
    "problem.environment_steps=7680",
    "agent.steps=32",
    "agent.minibatch=64",
    "agent.hidden=[16]",
    "evaluation.every=10",
    "evaluation.episodes=2",
    "evaluation.final_episodes=2",
    "checkpoints.every=3",
)
"""Thirty iterations: checkpoints after every third, evaluations after every tenth."""
UNITS = 30


def overrides(*more: str) -> list[str]:
    return [word for override in (*SMALL, *more) for word in ("-o", override)]


def killed(recipe: str, environment: str, cwd: Path) -> Result:
    """Start training and kill it on its way; try again if it was too fast for that."""
    run = cwd / "results" / recipe / "seed0"
    for _ in range(3):
        named = overrides(f"problem.environment={environment}")
        process = start("train", recipe, *named, "--force", cwd=cwd)
        wait_until(lambda: episodes(run) >= 7, process)
        process.kill()
        result = finish(process)
        if result.code != 0:
            return result
    raise AssertionError("the run was never killed before its end")


@pytest.mark.parametrize(
    ("recipe", "environment"),
    [("hybrid_balanced", "moving"), ("hybrid_gradnorm", "topology"), ("hybrid_fixed", "lander_hybrid")],
)
def test_killed_and_resumed_equals_uninterrupted(
    here: Command, tmp_path: Path, recipe: str, environment: str
) -> None:
    assert killed(recipe, environment, tmp_path).code == -signal.SIGKILL
    run = tmp_path / "results" / recipe / "seed0"
    assert run_json(run)["status"] == "running"
    assert 7 <= episodes(run) < UNITS
    named = overrides(f"problem.environment={environment}")
    assert here("train", recipe, *named, "--resume", "--quiet").code == 0
    alone = tmp_path / "alone"
    execute(load(recipe, [*SMALL, f"problem.environment={environment}"]), 0, alone)
    assert episodes(run) == UNITS
    assert_same_training(run, alone)


def test_runs_side_by_side_record_what_one_alone_does(tmp_path: Path) -> None:
    recipes, sliding = ("hybrid_balanced", "hybrid_pcgrad"), "problem.environment=sliding"
    mtctl("train", *recipes, *overrides(sliding), "--jobs", "2", "--quiet", cwd=tmp_path)
    for recipe in recipes:
        execute(load(recipe, [*SMALL, sliding]), 0, tmp_path / recipe)
        assert_same_training(tmp_path / "results" / recipe / "seed0", tmp_path / recipe)
