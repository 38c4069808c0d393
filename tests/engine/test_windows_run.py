"""A run of the windows problem: a lander's files, in units of its own and without what is played."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mtctl.analysis.evaluation import summarise
from mtctl.history.history import PAIRS, read_history
from mtctl.history.runs import evaluation, read_run
from mtctl.measuring.calibrate import seconds_per_run
from tests.engine.runs import (
    WINDOWS,
    StopAfter,
    assert_same_training,
    evaluate_run,
    metrics,
    run_json,
    train,
    tree,
)

TASKS = ("type", "ptr", "binary", "countdown")


def test_files(windows_run: Path) -> None:
    names = {path.removeprefix("checkpoints/") for path in tree(windows_run)}
    assert names == {"best.pt", "ep0002.pt", "last.pt", "eval.json", "lock", "metrics.jsonl", "recipe.yaml",
                     "run.json"}  # fmt: skip


def test_run_json(windows_run: Path) -> None:
    found = run_json(windows_run)
    assert (found["status"], found["problem"], found["unit"], found["item"]) == (
        "completed", "windows", "epoch", "window"
    )  # fmt: skip
    assert found["score"] == {"name": "skill %", "higher_is_better": True, "success": None, "outcomes": []}
    assert found["budget"] == {
        "units": 3, "done": 3, "environment_steps": None, "updates": 9, "samples_per_update": 8
    }  # fmt: skip
    assert not read_run(windows_run).is_played


def test_records(windows_run: Path) -> None:
    assert [record["kind"] for record in metrics(windows_run)] == ["unit", "evaluation"] * 3
    assert all("environment_steps" not in record for record in metrics(windows_run))
    history = read_history(read_run(windows_run))
    assert (history.units.tolist(), history.updates) == ([1, 2, 3], 9)
    assert history.learned.tolist() == [1, 2, 3]
    assert (history.spent.tolist(), history.measured.tolist()) == ([3, 3, 3], [1, 1, 1])
    assert all(len(history.figure("loss", task).values) == 3 for task in TASKS)
    by_task = {name: keys for name, keys in history.signals.items() if name not in PAIRS}
    assert all(tuple(keys) == TASKS for keys in by_task.values())
    assert {"weight", "gradient_norm", "reach", "dead_units"} <= by_task.keys()
    assert all(not np.isnan(values).any() for values in history.signals["gradient_norm"].values())


def test_evaluations_during_training(windows_run: Path) -> None:
    found = read_history(read_run(windows_run)).evaluations
    assert [record.unit for record in found] == [1, 2, 3]
    for record in found:
        for task in record.tasks.values():
            assert (task.items, task.outcomes, task.steps, task.success_rate) == (6, None, None, None)
            assert "loss" in task.measures


def test_final_evaluation_scores_every_window(windows_run: Path) -> None:
    found = evaluation(windows_run)
    assert found is not None
    assert found.items == 8
    assert all((task.steps, task.outcomes) == (None, None) for task in found.tasks.values())
    summary = summarise(found, read_run(windows_run).score)
    assert {"loss", "accuracy", "pointer_error", "span_f1", "start_mae"} <= set(summary.measures)


def test_part_of_the_windows(windows_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(windows_run, tmp_path / "run"))
    part = evaluate_run(run, checkpoint="ep0002", items=3, tasks=("ptr",))
    whole = evaluate_run(run, checkpoint="ep0002")
    assert (part["items"], len(whole["tasks"]["ptr"]["scores"])) == (3, 8)
    assert part["tasks"].keys() == {"ptr"}
    assert part["tasks"]["ptr"]["scores"] == pytest.approx(whole["tasks"]["ptr"]["scores"][:3])


@pytest.mark.parametrize("stops", [[1], [2], [1, 1]])
def test_interrupted_and_resumed_equals_uninterrupted(
    windows_run: Path, tmp_path: Path, stops: list[int]
) -> None:
    for number, epochs in enumerate(stops):
        status = train(tmp_path, WINDOWS, stop=StopAfter(epochs), resume=bool(number))
        assert status == "interrupted"
    assert train(tmp_path, WINDOWS, resume=True) == "completed"
    assert_same_training(tmp_path, windows_run)


def test_time_of_a_run_is_between_its_bounds() -> None:
    low, high = seconds_per_run(WINDOWS)
    assert 0 < low <= high
