"""What the charts of a report draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mtctl.analysis.comparison import Comparison, compare
from mtctl.analysis.trainings import read_trainings
from mtctl.history.series import MOST_STRETCHES
from mtctl.report.charts import charts
from tests.history.runs_factory import records, write_run, write_training, write_windows_run

EVALUATED = ([0.0, 10.0, 30.0], [10.0, 20.0, 50.0], [20.0, 60.0, 40.0])


def runs(root: Path, seeds: int = 3) -> Comparison:
    for seed in range(seeds):
        run = write_run(root, "gradnorm_blind", seed, budget={"units": 60, "done": 60})
        write_training(run, EVALUATED[seed], every=20)
    return compare([root])


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
    assert len(method["conflicts"]) == document["most_stretches"] == MOST_STRETCHES


def test_charts_show_what_figures_do(tmp_path: Path) -> None:
    comparison = runs(tmp_path)
    (method,) = charts(comparison)["methods"]
    figures = read_trainings(comparison)["gradnorm_blind"]
    assert figures.conflicts is not None
    np.testing.assert_allclose(method["conflicts"], figures.conflicts, rtol=1e-5)
    for task, weights in figures.weights.items():
        np.testing.assert_allclose(method["weights"][task], weights, rtol=1e-5)


def test_the_words_of_training_are_the_problem_s(tmp_path: Path) -> None:
    played = charts(runs(tmp_path / "lander"))
    assert (played["trained_on"], played["losses"]) == ("return of training episodes", False)
    write_windows_run(tmp_path / "windows")
    learned = charts(compare([tmp_path / "windows"]))
    assert (learned["trained_on"], learned["losses"]) == ("training loss", True)
    parts = learned["methods"][0]["training"]["parts"]
    assert parts[0] is None
    assert all(part is not None for part in parts[1:])
