"""Logs made from records: the same as those that were written live, of any run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.errors import MtctlError
from mtctl.history.logs import export_csv, export_tensorboard
from mtctl.history.runs import read_run
from mtctl.problems.recipe import Recipe
from tests.engine.logs.reading import event_curves, hyperparameters, table_curves
from tests.engine.logs.test_observer import logged
from tests.engine.runs import WINDOWS, recipe, train
from tests.history.runs_factory import write_run, write_windows_run


@pytest.mark.parametrize("of", [WINDOWS, recipe("gradnorm_blind")], ids=["windows", "lander"])
def test_an_export_is_what_was_written_live(of: Recipe, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    train(directory, logged(of, "tensorboard", "csv"))
    run = read_run(directory)
    export_tensorboard(run, tmp_path / "events")
    export_csv(run, tmp_path / "table.csv")
    assert event_curves(tmp_path / "events") == event_curves(directory / "tb")
    assert hyperparameters(tmp_path / "events") == hyperparameters(directory / "tb")
    assert (tmp_path / "table.csv").read_bytes() == (directory / "scalars.csv").read_bytes()


def test_a_run_under_way_is_exported_up_to_its_last_complete_line(tmp_path: Path) -> None:
    directory = write_windows_run(tmp_path, status="running")
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"kind":"unit","un')
    export_csv(read_run(directory), tmp_path / "table.csv")
    assert table_curves(tmp_path / "table.csv")["train/epoch"] == [(6, 1.0), (12, 2.0)]


def test_a_loop_of_ones_own_is_exported(tmp_path: Path) -> None:
    """Its recipe.yaml is none, and describes the training all the same."""
    directory = write_windows_run(tmp_path, "mine", problem="loop")
    (directory / "recipe.yaml").write_text("name: mine\nproblem: {kind: loop, tasks: [a, b]}\nlr: 1e-3\n")
    export_tensorboard(read_run(directory), tmp_path / "events")
    assert hyperparameters(tmp_path / "events") == {
        "name": "mine",
        "problem.kind": "loop",
        "problem.tasks": "[a, b]",
        "lr": 0.001,
        "seed": 0.0,
    }
    assert event_curves(tmp_path / "events")["eval/average"] == [(6, 12.5), (12, 12.5)]


def test_records_that_are_damaged_are_explained_and_nothing_is_written(tmp_path: Path) -> None:
    directory = write_run(tmp_path)
    run = read_run(directory)
    (directory / "metrics.jsonl").write_text('{"kind":"unit","unit":0}\n')
    for export in (export_tensorboard, export_csv):
        with pytest.raises(MtctlError, match=r"metrics\.jsonl:1 does not have mtctl's format"):
            export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
