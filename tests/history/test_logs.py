"""Logs made from records: the same as those that were written live, of any run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.errors import MtctlError
from mtctl.history.logs import export_csv, export_tensorboard, points
from mtctl.history.runs import read_run
from tests.engine.logs.reading import event_curves, hyperparameters
from tests.engine.logs.test_observer import logged
from tests.engine.runs import WINDOWS, recipe, train
from tests.history.runs_factory import epochs, records, write_run


@pytest.mark.parametrize("of", [WINDOWS, recipe("gradnorm_blind")], ids=["windows", "lander"])
def test_an_export_is_what_was_written_live(of: object, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    train(directory, logged(of, "tensorboard", "csv"))  # type: ignore[arg-type]
    run = read_run(directory)
    export_tensorboard(run, tmp_path / "events")
    export_csv(run, tmp_path / "table.csv")
    assert event_curves(tmp_path / "events") == event_curves(directory / "tb")
    assert hyperparameters(tmp_path / "events") == hyperparameters(directory / "tb")
    assert (tmp_path / "table.csv").read_bytes() == (directory / "scalars.csv").read_bytes()
