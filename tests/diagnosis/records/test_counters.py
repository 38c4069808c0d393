"""Which step a value is of: counters that start again, go back, or lack."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtctl.diagnosis.records.counters import Steps, steps_of
from mtctl.diagnosis.records.formats.readers import read_table
from mtctl.errors import MtctlError


def steps(folder: Path, text: str, wanted: str | None = None) -> Steps:
    (folder / "m.csv").write_text(text)
    return steps_of(read_table(folder / "m.csv"), wanted, ["loss_a"])


def test_a_counter_within_an_epoch_is_counted_on(tmp_path: Path) -> None:
    found = steps(tmp_path, "epoch,iter,loss_a\n1,50,1\n1,100,1\n2,50,1\n2,100,1\n3,50,1\n")
    assert found.values.tolist() == [50, 100, 150, 200, 250]
    assert (found.unit, found.counts_updates, found.resumed) == ("step", True, False)
    assert "`iter` starts again at line 4" in found.note


def test_a_counter_that_always_begins_anew_needs_no_epoch(tmp_path: Path) -> None:
    found = steps(tmp_path, "batch,loss_a\n0,1\n1,1\n2,1\n0,1\n1,1\n2,1\n0,1\n")
    assert found.values.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_counter_that_goes_back_to_the_middle_was_resumed(tmp_path: Path) -> None:
    found = steps(tmp_path, "epoch,step,loss_a\n1,1,1\n1,2,1\n2,3,1\n1,2,1\n2,3,1\n")
    assert found.values.tolist() == [1, 2, 3, 2, 3]
    assert found.resumed


def test_another_counter_takes_the_place_of_one_that_lacks(tmp_path: Path) -> None:
    found = steps(tmp_path, "step,epoch,loss_a,val_loss_a\n1,0,1,\n,1,1,\n3,2,1,\n")
    assert (found.values.tolist(), found.unit, found.counts_updates) == ([0, 1, 2], "epoch", False)


def test_rows_without_a_loss_need_no_step(tmp_path: Path) -> None:
    assert steps(tmp_path, "step,loss_a,x\n,,5\n1,1,\n2,1,\n").values[1:].tolist() == [1, 2]
    with pytest.raises(MtctlError, match=r"m\.csv:3: column `step` has no step here"):
        steps(tmp_path, "step,loss_a\n1,1\n,1\n")


@pytest.mark.parametrize(
    ("name", "unit", "updates"),
    [("global_step", "step", True), ("total_timesteps", "step", False), ("epoch", "epoch", False)],
)
def test_units(tmp_path: Path, name: str, unit: str, updates: bool) -> None:
    found = steps(tmp_path, f"{name},loss_a\n1,1\n2,1\n")
    assert (found.unit, found.counts_updates) == (unit, updates)
