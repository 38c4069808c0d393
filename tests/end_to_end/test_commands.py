"""From training to a comparison, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from mtctl.recipes.loading import load
from tests.cli.conftest import Command
from tests.end_to_end.command import SMALL, mtctl, overrides
from tests.engine.runs import assert_same_training, execute, metrics, run_json

TASKS = ["standard", "windy", "heavy"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which two recipes have been trained side by side."""
    folder = tmp_path_factory.mktemp("workplace")
    result = mtctl(
        "train", "shared_blind", "gradnorm_blind", *overrides(), "--seed", "1", "--jobs", "2", cwd=folder
    )
    assert result.out == ""
    for label in ("shared_blind/seed1", "gradnorm_blind/seed1"):
        assert f"{label}  done" in result.err
    assert "2 runs done" in result.err
    assert "mtctl compare results" in result.err
    return folder


@pytest.mark.parametrize("name", ["shared_blind", "gradnorm_blind"])
def test_runs_side_by_side_equal_single_runs(workplace: Path, tmp_path: Path, name: str) -> None:
    execute(load(name, SMALL), 1, tmp_path / "single")
    assert_same_training(workplace / "results" / name / "seed1", tmp_path / "single")


def test_runs_know_the_command_that_was_typed(workplace: Path) -> None:
    run = workplace / "results" / "gradnorm_blind" / "seed1"
    command = run_json(run)["command"]
    assert command.startswith("mtctl train shared_blind gradnorm_blind -o problem.episodes_per_task=4")
    assert command.endswith("--seed 1 --jobs 2")
    assert (run / "recipe.yaml").read_text().startswith(f"# {command}\n")


def test_seeds_make_different_runs(workplace: Path, tmp_path: Path) -> None:
    execute(load("shared_blind", SMALL), 0, tmp_path / "other")
    first, second = map(metrics, (workplace / "results" / "shared_blind" / "seed1", tmp_path / "other"))
    assert first[0]["tasks"] != second[0]["tasks"]


def test_eval_then_compare(workplace: Path, here: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    result = mtctl("eval", "results", "--episodes", "5", "--json", cwd=workplace)
    documents: dict[str, Any] = json.loads(result.out)
    assert documents["schema"] == 2
    assert [Path(one["run"]).parts[-2:] for one in documents["evaluations"]] == [
        ("gradnorm_blind", "seed1"),
        ("shared_blind", "seed1"),
    ]
    for one in documents["evaluations"]:
        stored = json.loads((workplace / one.pop("run") / "eval.json").read_text())
        for task, scored in stored["tasks"].items():
            printed = one["tasks"].pop(task)
            assert printed.items() >= scored.items()
            assert printed["mean"] == pytest.approx(fmean(scored["scores"]))
        assert one.pop("average")
        assert {**stored, "tasks": {}} == one
        assert [len(stored["tasks"][task]["scores"]) for task in TASKS] == [5, 5, 5]

    monkeypatch.chdir(workplace)
    table = here("eval", "results/shared_blind/seed1", "--episodes", "5")
    assert all(word in table.out for word in (*TASKS, "average", "success", "crashed"))
    assert "…" not in table.out

    compared = here("compare", "results")
    assert all(name in compared.out for name in ("shared_blind", "gradnorm_blind"))
    found = json.loads(here("compare", "results", "--json").out)
    assert found["schema"] == 3


def test_a_failed_run_does_not_stop_the_others(here: Command, tmp_path: Path) -> None:
    (tmp_path / "wild.yaml").write_text("name: wild\nextends: equal_blind\nagent: {lr: 1e30}\n")
    small = overrides("problem.episodes_per_task=2")
    result = here("train", "wild.yaml", "equal_blind", *small, "--json")
    assert result.code == 1
    assert "wild/seed0  failed: error: diverged in episode " in result.err
    assert "equal_blind/seed0  done" in result.err
    assert "1 of 2 runs failed: wild/seed0" in result.err
    document = json.loads(result.out)
    assert [(run["directory"], run["status"]) for run in document["runs"]] == [
        ("results/wild/seed0", "failed"),
        ("results/equal_blind/seed0", "completed"),
    ]
