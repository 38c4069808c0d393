"""`training.device`: one meaning in every recipe that has it; a device that is missing is said to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.device import DeviceName, device_of, is_there
from mtctl.problems.kinds import build
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import load, recipe_hash
from tests.engine.runs import WINDOWS, StopAfter, evaluate_run, train
from tests.problems.test_kinds import RECIPES

WITH = ("windows", "python", "hybrid")
"""Kinds whose recipes have the key."""
pytestmark = pytest.mark.skipif(is_there("cuda"), reason="these tests are of a machine without CUDA")


@pytest.mark.parametrize("kind", WITH)
def test_a_missing_device_is_an_error_of_the_recipe(kind: str) -> None:
    recipe = RECIPES[kind].on("cuda")
    assert recipe.device == "cuda"
    with pytest.raises(MtctlError, match=r"training\.device: cuda, but this machine has none") as raised:
        build(recipe, 0)
    assert raised.value.code == ExitCode.USAGE
    assert "-o training.device=auto" in (raised.value.hint or "")


@pytest.mark.parametrize("kind", WITH)
def test_auto_takes_what_there_is(kind: str) -> None:
    expected = "mps" if torch.backends.mps.is_available() else "cpu"
    assert build(RECIPES[kind].on("auto"), 0).device.type == expected


@pytest.mark.parametrize(("name", "there", "found"), [("auto", "cuda", "cuda"), ("cpu", "cuda", "cpu")])
def test_a_gpu_is_taken_where_there_is_one(
    name: DeviceName, there: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there == "cuda")
    assert device_of(name).type == found


@pytest.mark.parametrize("kind", ["windows", "hybrid"])
def test_recipes_of_before_the_key_are_the_same(kind: str) -> None:
    """The CPU is the default, and no part of what tells one recipe from another."""
    recipe: Recipe = RECIPES[kind]
    assert recipe.device == "cpu"
    assert "device" not in json.dumps(recipe.identity())
    assert recipe_hash(recipe) != recipe_hash(recipe.on("cuda"))


def test_the_lander_has_no_such_key() -> None:
    assert RECIPES["lander"].on("cuda") == RECIPES["lander"]
    with pytest.raises(MtctlError, match="unknown key `training`"):
        load("equal_blind", ["training.device=cuda"])


def put(file: Path, **values: object) -> None:
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, **values}))


def test_a_device_that_has_vanished_is_named_on_resume(tmp_path: Path) -> None:
    """A run that `auto` has begun on a GPU draws other numbers elsewhere; nothing of it is lost."""
    recipe = WINDOWS.on("auto")
    train(tmp_path / "run", recipe, stop=StopAfter(1))
    put(tmp_path / "run" / "run.json", device="cuda")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(
        MtctlError, match=r"was trained on cuda so far, and training\.device finds cpu"
    ) as raised:
        train(tmp_path / "run", recipe, resume=True)
    assert raised.value.code == ExitCode.USAGE
    assert "-o name=NEW" in (raised.value.hint or "")
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    put(tmp_path / "run" / "run.json", device="cpu")
    assert train(tmp_path / "run", recipe, resume=True) == "completed"


def test_runs_of_another_device_are_evaluated_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = WINDOWS.on("cuda")
    with monkeypatch.context() as patch:
        patch.setattr("mtctl.problems.windows.problem.device_of", lambda _: torch.device("cpu"))
        train(tmp_path / "run", recipe)
    with pytest.raises(MtctlError, match="this machine has none"):
        train(tmp_path / "run", recipe.lasting(4), resume=True)
    found = json.loads((tmp_path / "run" / "eval.json").read_text())
    assert evaluate_run(tmp_path / "run") == found
