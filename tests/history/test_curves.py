"""The trainings of a method as curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtctl.errors import MtctlError
from mtctl.history.curves import Curve, Trainings
from mtctl.history.history import recorded_history
from mtctl.history.runs import find_runs, read_run
from mtctl.history.series import MOST_STRETCHES, Series, Stretches
from mtctl.statistics import estimate
from tests.history.runs_factory import TASKS, WINDOWS_TASKS, write_run, write_training, write_windows_run

EVALUATED = ([0.0, 10.0, 30.0], [10.0, 20.0, 50.0], [20.0, 60.0, 40.0])


def write_runs(root: Path, seeds: int = 3, **changes: int) -> None:
    for seed in range(seeds):
        run = write_run(root, "gradnorm_blind", seed, budget={"units": 60, "done": 60})
        write_training(run, EVALUATED[seed], every=20, **changes)


def trainings(root: Path, tasks: tuple[str, ...] = TASKS, figure: str = "return") -> Trainings:
    histories = (recorded_history(read_run(path)) for path in find_runs([root]))
    return Trainings(tuple(each for each in histories if each is not None), tasks, tasks, figure)


def curve(found: Curve | None) -> Curve:
    assert found is not None
    return found


def file_of(root: Path, seed: int) -> Path:
    return root / "gradnorm_blind" / f"seed{seed}" / "metrics.jsonl"


def rewrite(file: Path, change: Any) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(change(line)) + "\n" for line in lines))


def test_evaluations_have_means_and_t_intervals_over_seeds(tmp_path: Path) -> None:
    write_runs(tmp_path)
    found = trainings(tmp_path)
    average, standard = curve(found.evaluated(TASKS)), curve(found.evaluated(["standard"]))
    expected = [estimate(column) for column in zip(*EVALUATED, strict=True)]
    assert average.units.tolist() == [20, 40, 60]
    assert average.mean.tolist() == pytest.approx([each.mean for each in expected])
    assert average.low is not None
    assert average.low.tolist() == pytest.approx([each.interval.low for each in expected if each.interval])
    assert average.amounts is not None
    assert average.amounts.tolist() == [8000, 16000, 24000]
    assert standard.mean.tolist() == average.mean.tolist()


def test_training_is_means_over_stretches(tmp_path: Path) -> None:
    write_runs(tmp_path)
    for seed in range(3):
        rewrite(
            file_of(tmp_path, seed),
            lambda line, seed=seed: (
                {**line, "tasks": {"standard": {"return": line["unit"] + seed}}}
                if line["kind"] == "unit"
                else line
            ),
        )
    found = trainings(tmp_path)
    assert found.trained("windy") is None
    standard = curve(found.trained("standard"))
    assert len(standard.mean) == MOST_STRETCHES
    assert standard.mean[0] == pytest.approx(np.mean([1, 2]) + 1)
    assert standard.low is not None
    assert standard.low[0] < standard.mean[0]
    assert standard.units[-1] == pytest.approx(60 * (MOST_STRETCHES - 0.5) / MOST_STRETCHES + 0.5)


def test_one_seed_has_no_band(tmp_path: Path) -> None:
    write_runs(tmp_path, seeds=1)
    found = trainings(tmp_path)
    for each in (found.evaluated(TASKS), found.evaluated(["heavy"]), found.trained("standard")):
        assert curve(each).low is curve(each).high is None


def test_a_stretch_counts_where_all_runs_have_a_value(tmp_path: Path) -> None:
    write_runs(tmp_path)
    lines = file_of(tmp_path, 2).read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["unit"] <= 30]
    file_of(tmp_path, 2).write_text("".join(f"{line}\n" for line in kept))
    standard = curve(trainings(tmp_path).trained("standard"))
    assert 20 < len(standard.units) < 30
    assert standard.units[-1] < 31


def test_weights_and_conflicts_through_training(tmp_path: Path) -> None:
    write_runs(tmp_path)
    found = trainings(tmp_path)
    assert found.conflicts is not None
    units = np.arange(1, 61)
    expected = found.stretches.means(Series(units, (units - 1) / 59, np.ones(60)))
    assert found.conflicts == pytest.approx(expected)
    assert found.weights["standard"] == pytest.approx(1 + 2 * expected)
    assert list(found.weights) == list(TASKS)


def test_a_stretch_is_a_mean_over_updates_and_then_over_runs(tmp_path: Path) -> None:
    """Units of many updates count for more than others, and runs of many updates for no more than others."""
    first_two = {0: [(1.0, 30), (4.0, 10)], 1: [(2.25, 1000), (2.25, 1000)]}
    for seed, units in first_two.items():
        write_training(write_run(tmp_path, "gradnorm_blind", seed), [1.0], every=100)

        def change(line: dict[str, Any], units: list[tuple[float, int]] = units) -> dict[str, Any]:
            if line["unit"] > 2:
                return line
            weight, updates = units[line["unit"] - 1]
            signals = {"updates": updates, "measured": updates, "conflict_rate": weight / 10}
            return {**line, "signals": {**line["signals"], **signals, "weight": {"standard": weight}}}

        rewrite(file_of(tmp_path, seed), change)
    found = trainings(tmp_path)
    assert found.stretches.length == 2 * found.stretches.count == 100
    assert found.conflicts is not None
    assert (found.weights["standard"][0], found.conflicts[0]) == pytest.approx((2.0, 0.2))


def test_losses_of_epochs(tmp_path: Path) -> None:
    for seed in range(2):
        write_training(write_windows_run(tmp_path, seed=seed), [5.0, 10.0], every=10)
    found = trainings(tmp_path, WINDOWS_TASKS, "loss")
    for task in WINDOWS_TASKS:
        line = curve(found.trained(task))
        assert set(line.mean.tolist()) == {1.0}
        assert line.units.tolist() == list(range(1, 21))


def test_runs_without_records(tmp_path: Path) -> None:
    write_runs(tmp_path)
    for file in tmp_path.glob("*/*/metrics.jsonl"):
        file.unlink()
    found = trainings(tmp_path)
    assert not found.histories
    assert found.evaluated(TASKS) is found.trained("standard") is None
    assert found.conflicts is None
    assert not found.weights


def test_records_that_are_none_are_named(tmp_path: Path) -> None:
    write_runs(tmp_path)
    file = file_of(tmp_path, 1)
    file.write_text(file.read_text().replace('"return":1.0', '"return":null', 1))
    with pytest.raises(MtctlError, match=r"seed1/metrics\.jsonl:1"):
        trainings(tmp_path)


def test_a_short_training_has_a_stretch_for_each_unit() -> None:
    assert Stretches(4).middles.tolist() == [1, 2, 3, 4]
    assert Stretches(0).count == 1
    series = Series(np.array([1, 2, 2, 9]), np.array([1.0, 4.0, 6.0, 7.0]), np.array([2.0, 1.0, 3.0, 5.0]))
    np.testing.assert_array_equal(Stretches(4).means(series), [1, 5.5, np.nan, 7])
    np.testing.assert_array_equal(
        Stretches(2).over_runs([np.array([1.0, np.nan]), np.array([3.0, np.nan])]), [2, np.nan]
    )
    assert Stretches(10_000).count == MOST_STRETCHES
