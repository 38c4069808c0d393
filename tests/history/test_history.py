"""What a run recorded, as values by unit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mtctl.errors import MtctlError
from mtctl.history.history import Histories, observed_history, read_history, recorded_history
from mtctl.history.runs import read_run
from tests.history.runs_factory import (
    TASKS,
    WINDOWS_TASKS,
    epochs,
    records,
    summary,
    write_run,
    write_training,
    write_windows_run,
)


def test_episodes(tmp_path: Path) -> None:
    found = read_history(read_run(write_run(tmp_path)))
    assert (found.tasks, found.units.tolist(), found.updates, found.cut_off) == (TASKS, [1, 2, 3], 0, None)
    returns = found.figure("return", "standard")
    assert (returns.units.tolist(), returns.values.tolist()) == ([1, 2, 3], [-123.4] * 3)
    assert found.ending("outcome", "standard") == ("crashed",) * 3
    assert (len(found.figure("return", "windy").values), found.ending("outcome", "windy")) == (0, ())
    assert found.extra["epsilon"].tolist() == [1.0] * 3
    assert (found.learned.tolist(), found.spent.tolist()) == ([2, 3], [93, 93])
    assert found.signal("weight", "standard").values.tolist() == [1.0, 1.0]
    assert (found.last("replay_rows", "windy"), found.last("weight", "windy")) == (0.0, None)
    assert found.losses("standard").tolist() == [1.5, 1.5]
    assert found.pairs == ("standard|windy",)
    assert found.latest()["gradient_share"] == {"standard": 1.0, "windy": None, "heavy": None}
    (evaluation,) = found.evaluations
    assert (evaluation.unit, evaluation.amount) == (3, 279)
    assert evaluation.tasks["standard"].outcomes == {"landed": 0, "crashed": 1, "timed_out": 0}


def test_epochs(tmp_path: Path) -> None:
    found = read_history(read_run(write_windows_run(tmp_path)))
    assert (found.units.tolist(), found.updates, found.extra) == ([1, 2], 12, {})
    assert found.losses("ptr").tolist() == [1.0, 1.0]
    assert (found.measured.tolist(), found.conflicts.mean) == ([0, 0], None)
    assert found.held_out("ptr", "pointer_error").tolist() == [15.692] * 2
    assert found.evaluations[0].amount == 6


def test_values_that_a_unit_lacks(tmp_path: Path) -> None:
    first, second, third = records(3)[:3]
    second = {**second, "signals": {**second["signals"], "weight": {"heavy": 2.0}, "more": {"standard": 1.0}}}
    found = observed_history([first, second, third], TASKS)
    assert found.signal("weight", "heavy").units.tolist() == [2]
    assert found.signal("weight", "standard").units.tolist() == [3]
    np.testing.assert_array_equal(found.signals["more"]["standard"], [1.0, np.nan])
    nothing = observed_history([], TASKS)
    assert (len(nothing.units), nothing.updates, nothing.pairs, nothing.latest()) == (0, 0, (), {})
    assert nothing.conflicts.mean is None


def test_figures_of_gradients_count_by_the_updates_that_were_measured() -> None:
    units = [json.loads(json.dumps(record)) for record in epochs(2) if record["kind"] == "unit"]
    units[0]["signals"] |= {"measured": 2, "gradient_norm": {"ptr": 4.0}}
    found = observed_history(units, WINDOWS_TASKS)
    assert found.signal("gradient_norm", "ptr").updates.tolist() == [2]
    assert found.signal("weight", "ptr").updates.tolist() == [6, 6]


@pytest.mark.parametrize("write", [write_run, write_windows_run])
def test_lines_with_other_signals_are_read_too(tmp_path: Path, write: Callable[..., Path]) -> None:
    run = read_run(write(tmp_path))
    file, before = run.path / "metrics.jsonl", read_history(run)
    lines = list(map(json.loads, file.read_text().splitlines()))
    last = max(place for place, line in enumerate(lines) if line["kind"] == "unit")
    del lines[last]["signals"]["gradient_share"]
    lines[last]["signals"]["more"] = {before.tasks[1]: 1.0}
    file.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
    found = read_history(run)
    np.testing.assert_array_equal(found.signals["more"][before.tasks[1]], [np.nan, 1.0])
    for name, columns in before.signals.items():
        for key, values in columns.items():
            expected = [values[0], np.nan] if name == "gradient_share" else values
            np.testing.assert_array_equal(found.signals[name][key], expected)
    np.testing.assert_array_equal(found.conflict_rate, before.conflict_rate)


def test_names_that_need_quoting() -> None:
    tasks, (_, second, *_) = ('a "b"', "c\\d"), records(2)
    signals = {**second["signals"], "weight": dict.fromkeys(tasks, 2.0), "loss": {}}
    own = ("loss", "weight", "updates", "measured", "conflict_rate")
    unit = {**second, "tasks": {tasks[0]: {"return": 1.0}}, "signals": {name: signals[name] for name in own}}
    found = observed_history([unit], tasks)
    assert [found.last("weight", task) for task in tasks] == [2.0, 2.0]
    assert found.figure("return", tasks[0]).values.tolist() == [1.0]


def test_its_summary_is_the_one_that_a_comparison_reads(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path)), read_run(write_windows_run(tmp_path))]
    for run in runs:
        assert read_history(run).summary == summary(run)
        write_training(run.path, [1.0, 5.0], every=17)
        assert read_history(run).summary == summary(run)


def test_each_run_is_read_once(tmp_path: Path) -> None:
    run, other = read_run(write_run(tmp_path)), read_run(write_run(tmp_path, seed=1))
    (other.path / "metrics.jsonl").unlink()
    assert recorded_history(other) is None
    histories = Histories()
    found = histories.of(run)
    course = histories.summary(run)
    assert (histories.of(other), histories.summary(other)) == (None, None)
    for path in (run.path, other.path):
        (path / "metrics.jsonl").write_text("no record")
    assert histories.of(read_run(run.path)) is found
    assert histories.summary(run) == course
    assert histories.of(other) is None


def test_records_that_were_not_kept(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    (run.path / "metrics.jsonl").unlink()
    with pytest.raises(MtctlError, match="cannot be read"):
        read_history(run)
