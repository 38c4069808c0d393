"""The facts of the documented model that the built-in windows recipes stand for, and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mtctl.balancing.chain import Chain, learned_parameters
from mtctl.problems.kinds import build as build_problem
from mtctl.problems.windows.problem import Windows
from mtctl.problems.windows.recipe import WindowsRecipe
from mtctl.recipes import builtin
from mtctl.recipes.loading import load
from tests.engine.runs import StopAfter, assert_same_training, execute, metrics
from tests.problems.windows.small import TASKS, Trainer, skills
from tests.recipes.samples import windows

WEIGHTS = {"type": 0.1, "ptr": 0.7, "binary": 0.1, "countdown": 0.1}
RUNNING_MEAN = {"kind": "running_mean", "momentum": 0.95, "warmup_steps": 10, "base_weights": WEIGHTS}
FIXED: dict[str, dict[str, Any]] = {
    "model": {"standardise": TASKS, "dropout": 0.0, "head_dropout": 0.0},
    "training": {"lr": 5e-3, "gradient_clip": 1.0},
}
#: name → the method's settings that matter, and where model and training are not the documented ones
RECIPES: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    "windows_documented": (RUNNING_MEAN | {"sizes": None}, {}),
    "windows_uncertainty": ({"kind": "uncertainty", "lr": 2e-3, "initial_log_variance": 0.0}, {}),
    "windows_running_mean_sqrt_d": (
        RUNNING_MEAN
        | {"size_exponent": 0.5, "sizes": {"type": 3, "ptr": 2, "binary": 105, "countdown": 105}},
        {},
    ),
    "windows_scalar_countdown": (RUNNING_MEAN, {"model": {"countdown": "scalar"}}),
    "windows_batch_scale": (
        {"kind": "batch_scale", "form": "corrected", "scale": "own_loss", "base_weights": WEIGHTS},
        {},
    ),
    "windows_manual": (RUNNING_MEAN | {"base_weights": {**WEIGHTS, "ptr": 0.6, "countdown": 0.2}}, {}),
    "windows_raw": ({"kind": "equal"}, {}),
    "windows_fixed": ({"kind": "equal"}, FIXED),
}
SMALL = (
    "problem.data.windows=40",
    "problem.data.validation=16",
    "problem.data.held_out=16",
    "model.hidden=6",
    "model.projection=5",
    "training.epochs=4",
    "checkpoints.every=1",
    "monitor.every=3",
)


def test_the_list_is_complete() -> None:
    found = {name for name in builtin.names() if isinstance(load(name), WindowsRecipe)}
    assert found == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_each_is_the_documented_model_but_for_what_it_shows(name: str) -> None:
    recipe = windows(name)
    method, changes = RECIPES[name]
    assert recipe.name == name
    assert recipe.problem.tasks == TASKS
    assert recipe.problem.data.model_dump() == {
        "kind": "synthetic", "windows": 168, "validation": 128, "held_out": 256, "difficulty": 0.3, "seed": 0
    }  # fmt: skip
    assert recipe.model.model_dump() == {
        "kind": "bilstm",
        "hidden": 96,
        "projection": 64,
        "dropout": 0.3,
        "head_dropout": 0.6,
        "countdown": "per_step",
        "standardise": (),
        **changes.get("model", {}),
    }
    assert recipe.training.model_dump() == {
        "epochs": 20,
        "optimizer": "adamw",
        "lr": 1e-3,
        "weight_decay": 1e-2,
        "batch_size": 32,
        "head_lr": {},
        "head_decay": {},
        "loss_factor": {},
        "gradient_clip": None,
        "device": "cpu",
        **changes.get("training", {}),
    }
    (found,) = (one.model_dump() for one in recipe.chain)
    assert {key: found[key] for key in method} == method


@pytest.mark.parametrize("name", RECIPES)
def test_parameter_counts(name: str) -> None:
    recipe = windows(name)
    problem = build_problem(recipe, 0)
    count = problem.parameter_count()
    learned = learned_parameters(Chain(recipe.chain), 4)
    # A scalar countdown reads 64 numbers, not 192. With four learned variances it is the study's 97,547.
    assert count.total == 97_543 - (128 if name == "windows_scalar_countdown" else 0)
    assert count.shared == 96_832
    assert learned == (4 if name == "windows_uncertainty" else 0)


@pytest.mark.parametrize("name", RECIPES)
def test_the_header_says_what_it_shows_and_how_to_run_it(name: str) -> None:
    text = (builtin.folder() / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    head = builtin.header(text)
    assert head[0].endswith(".")
    commands = [line.strip() for line in head if line.strip().startswith("mtctl ")]
    assert commands == [
        f"mtctl train recipes/{name}.yaml",
        f"mtctl train recipes/{name}.yaml -o training.epochs=5",
        f"mtctl eval results/{name}",
    ]


def train(name: str, directory: Path, **options: Any) -> str:
    return execute(windows(name, SMALL), 1, directory, **options)


@pytest.mark.parametrize("name", ["windows_documented", "windows_uncertainty", "windows_fixed"])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    assert train(name, tmp_path / "whole") == "completed"
    assert train(name, tmp_path / "parts", stop=StopAfter(2)) == "interrupted"
    assert train(name, tmp_path / "parts", resume=True) == "completed"
    assert_same_training(tmp_path / "whole", tmp_path / "parts")
    records = [record for record in metrics(tmp_path / "whole") if record["kind"] == "unit"]
    # Two updates an epoch, of which the first, the fourth and the seventh are measured.
    assert [record["signals"]["measured"] for record in records] == [1, 1, 0, 1]
    assert set(records[0]["signals"]["reach"]) == set(TASKS)


def losses(problem: Windows) -> Mapping[str, float]:
    return {task: one.measures["loss"] for task, one in problem.evaluate(None, "held_out").items()}


def built(name: str, seed: int, *overrides: str) -> tuple[Windows, Trainer]:
    recipe = windows(name, overrides)
    problem = build_problem(recipe, seed)
    assert isinstance(problem, Windows)
    return problem, Trainer(problem, *recipe.chain, every=1000, seed=seed)


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1])
def test_the_documented_loop_leaves_the_countdown_where_it_is(seed: int) -> None:
    problem, trainer = built("windows_documented", seed)
    before = losses(problem)
    records = trainer.train(5)
    after = losses(problem)
    assert problem.budget()["updates"] == 30
    assert abs(after["countdown"] / before["countdown"] - 1) < 0.01
    assert after["ptr"] < 0.8 * before["ptr"]
    # The documented check reads the losses of the training epochs.
    first, last = (
        {task: figures["loss"] for task, figures in records[place]["tasks"].items()} for place in (0, -1)
    )
    assert abs(last["countdown"] / first["countdown"] - 1) < 0.01
    assert last["ptr"] < 0.8 * first["ptr"]


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1])
def test_the_fixed_recipe_learns_all_four_tasks_in_the_same_budget(seed: int) -> None:
    """The least is the type's: for seed 0, 44.6 % on one processor and above 50 on another."""
    problem, trainer = built("windows_fixed", seed, "model.hidden=48", "model.projection=32")
    trainer.train()
    assert problem.budget()["updates"] == 120
    found = skills(problem)
    assert min(found.values()) > 35, found
