"""Trainings as lines of few points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtctl.analysis.comparison import Comparison, compare
from mtctl.analysis.plot_data import BINS, read_trainings
from mtctl.errors import MtctlError
from mtctl.report.charts import charts
from mtctl.report.trainings import Recorded, Stretches, read_recorded
from mtctl.statistics import estimate
from tests.history.runs_factory import (
    TASKS,
    WINDOWS_TASKS,
    records,
    write_course,
    write_run,
    write_windows_run,
)

EVALUATED = ([0.0, 10.0, 30.0], [10.0, 20.0, 50.0], [20.0, 60.0, 40.0])


def runs(root: Path, seeds: int = 3, **changes: int) -> Comparison:
    for seed in range(seeds):
        run = write_run(root, "gradnorm_blind", seed, budget={"units": 60, "done": 60})
        write_course(run, EVALUATED[seed], every=20, **changes)
    return compare([root])


def recorded(comparison: Comparison) -> Recorded:
    return read_recorded(comparison.methods[0], comparison.tasks)


def rewrite(file: Path, change: Any) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(change(line)) + "\n" for line in lines))


def test_evaluations_have_means_and_t_intervals_over_seeds(tmp_path: Path) -> None:
    average, standard, *_ = recorded(runs(tmp_path)).evaluations
    assert average is not None
    assert standard is not None
    found = [estimate(column) for column in zip(*EVALUATED, strict=True)]
    assert average.units.tolist() == [20, 40, 60]
    assert average.mean.tolist() == pytest.approx([each.mean for each in found])
    assert average.low is not None
    assert average.low.tolist() == pytest.approx([each.interval.low for each in found if each.interval])
    assert average.amounts is not None
    assert average.amounts.tolist() == [8000, 16000, 24000]
    assert standard.mean.tolist() == average.mean.tolist()


def test_weights_and_conflicts_are_those_of_the_figures(tmp_path: Path) -> None:
    comparison = runs(tmp_path)
    found, figures = recorded(comparison), read_trainings(comparison)["gradnorm_blind"]
    assert found.conflicts is not None
    np.testing.assert_allclose(found.conflicts, figures.conflicts())
    weights = figures.weights(comparison.tasks)
    assert list(found.weights) == list(weights) == list(TASKS)
    for task, values in weights.items():
        np.testing.assert_allclose(found.weights[task], values)


def test_training_episodes_are_means_over_stretches(tmp_path: Path) -> None:
    comparison = runs(tmp_path)
    for seed in range(3):
        file = tmp_path / "gradnorm_blind" / f"seed{seed}" / "metrics.jsonl"
        rewrite(
            file,
            lambda line, seed=seed: (
                {**line, "return": line["episode"] + seed} if line["kind"] == "episode" else line
            ),
        )
    average, standard, windy, _ = recorded(comparison).training
    assert average is windy is None
    assert standard is not None
    assert len(standard.mean) == BINS
    assert standard.mean[0] == pytest.approx(np.mean([1, 2]) + 1)
    assert standard.low is not None
    assert standard.low[0] < standard.mean[0]
    assert standard.units[-1] == pytest.approx(60 * (BINS - 0.5) / BINS + 0.5)


def test_one_seed_has_no_band(tmp_path: Path) -> None:
    found = recorded(runs(tmp_path, seeds=1))
    lines = [line for line in (*found.evaluations, *found.training) if line is not None]
    assert len(lines) == 5
    assert all(line.low is line.high is None for line in lines)


def test_a_stretch_counts_where_all_runs_have_a_value(tmp_path: Path) -> None:
    comparison = runs(tmp_path)
    file = tmp_path / "gradnorm_blind" / "seed2" / "metrics.jsonl"
    kept = [line for line in file.read_text().splitlines() if json.loads(line).get("episode", 0) <= 30]
    file.write_text("".join(f"{line}\n" for line in kept))
    standard = recorded(comparison).training[1]
    assert standard is not None
    assert 20 < len(standard.units) < 30
    assert standard.units[-1] < 31


def test_lines_written_in_another_way_are_read_too(tmp_path: Path) -> None:
    comparison = runs(tmp_path)
    before = recorded(comparison).training[1]
    for file in tmp_path.glob("*/*/metrics.jsonl"):
        rewrite(file, lambda line: dict(sorted(line.items(), key=lambda item: item[0] != "signals")))
    after = recorded(comparison).training[1]
    assert before is not None
    assert after is not None
    assert before.mean.tolist() == after.mean.tolist()


def test_records_that_are_none_are_named(tmp_path: Path) -> None:
    comparison = runs(tmp_path)
    file = tmp_path / "gradnorm_blind" / "seed1" / "metrics.jsonl"
    file.write_text(file.read_text().replace('"return":1.0', '"return":"one"', 1))
    with pytest.raises(MtctlError, match=r"seed1/metrics\.jsonl:1"):
        recorded(comparison)


def test_losses_of_epochs(tmp_path: Path) -> None:
    for seed in range(2):
        write_course(write_windows_run(tmp_path, seed=seed), [5.0, 10.0], every=10)
    found = recorded(compare([tmp_path]))
    assert found.training[0] is None
    assert len(found.training) == len(WINDOWS_TASKS) + 1
    first = found.training[1]
    assert first is not None
    assert set(first.mean.tolist()) == {1.0}
    assert first.units.tolist() == list(range(1, 21))


def test_runs_without_records(tmp_path: Path) -> None:
    comparison = runs(tmp_path)
    for file in tmp_path.glob("*/*/metrics.jsonl"):
        file.unlink()
    found = recorded(comparison)
    assert found.runs == 0
    assert not any((*found.evaluations, *found.training))
    assert found.conflicts is None
    assert not found.weights


def test_what_was_never_measured_is_null(tmp_path: Path) -> None:
    run = write_run(tmp_path, "gradnorm_blind")
    text = "".join(json.dumps(record) + "\n" for record in records())
    (run / "metrics.jsonl").write_text(text)
    document = charts(compare([tmp_path]))
    json.dumps(document, allow_nan=False)
    (method,) = document["methods"]
    assert method["conflicts"] is None
    assert list(method["weights"]) == ["standard"]
    assert method["evaluations"] is None


def test_charts_are_json_of_few_numbers(tmp_path: Path) -> None:
    document = charts(runs(tmp_path))
    text = json.dumps(document, allow_nan=False)
    assert len(text) < 20_000
    (method,) = document["methods"]
    assert method["baseline"]
    assert len(method["profile"]["mean"]) == len(document["thresholds"]) == 101
    assert method["profile"]["mean"][-1] == 0
    assert [part["mean"] for part in method["evaluations"]["parts"]] == [[10, 30, 40]] * 4
    assert len(method["conflicts"]) == document["most_stretches"] == BINS


def test_a_short_training_has_a_stretch_for_each_unit() -> None:
    assert Stretches(4).middles.tolist() == [1, 2, 3, 4]
    assert Stretches(0).count == 1
    pairs = [(1, 1.0), (2, 4.0), (2, 6.0), (9, 7.0)]
    np.testing.assert_array_equal(Stretches(4).means(pairs), [1, 5, np.nan, 7])
    np.testing.assert_array_equal(
        Stretches(2).over_runs([np.array([1.0, np.nan]), np.array([3.0, np.nan])]), [2, np.nan]
    )
    assert Stretches(10_000).count == BINS
