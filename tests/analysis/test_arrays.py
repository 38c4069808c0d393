from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rliable import library, metrics

from mtctl.analysis.arrays import save_arrays
from mtctl.analysis.comparison import Comparison
from tests.analysis.test_profiles import compared
from tests.history.runs_factory import TASKS


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    return compared(tmp_path / "results")


def from_npz(path: Path, kind: str) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {label: file[f"{kind}/{label}"] for label in file["methods"].tolist()}


def from_json(path: Path, kind: str) -> dict[str, np.ndarray]:
    return {label: np.array(each[kind]) for label, each in json.loads(path.read_text())["methods"].items()}


READERS = {"scores.npz": from_npz, "scores.json": from_json}


@pytest.mark.parametrize("name", READERS)
def test_rliable_reads_them_and_comes_to_our_aggregates(
    comparison: Comparison, tmp_path: Path, name: str
) -> None:
    save_arrays(comparison, tmp_path / name)
    raw = READERS[name](tmp_path / name, "raw")
    points, _ = library.get_interval_estimates(
        raw, lambda x: np.array([metrics.aggregate_iqm(x), metrics.aggregate_median(x)]), reps=50
    )
    for method in comparison.methods:
        ours = [method.aggregates[key].value for key in ("iqm", "median")]
        assert points[method.label] == pytest.approx(ours)
        assert raw[method.label].tolist() == [list(row) for row in method.matrix]


@pytest.mark.parametrize("name", READERS)
def test_normalised_scores_come_from_raw_ones(comparison: Comparison, tmp_path: Path, name: str) -> None:
    save_arrays(comparison, tmp_path / name)
    raw, normalised = (READERS[name](tmp_path / name, kind) for kind in ("raw", "normalised"))
    if name.endswith("npz"):
        with np.load(tmp_path / name, allow_pickle=False) as file:
            worst, best, tasks = file["worst"], file["best"], file["tasks"].tolist()
    else:
        document = json.loads((tmp_path / name).read_text())
        worst, best, tasks = np.array(document["worst"]), np.array(document["best"]), document["tasks"]
    assert tasks == list(TASKS)
    for label, scores in raw.items():
        assert normalised[label] == pytest.approx((scores - worst) / (best - worst))


@pytest.mark.parametrize("name", READERS)
def test_rows_are_the_seeds(comparison: Comparison, tmp_path: Path, name: str) -> None:
    save_arrays(comparison, tmp_path / name)
    seeds = READERS[name](tmp_path / name, "seeds")
    assert {label: each.tolist() for label, each in seeds.items()} == {
        method.label: list(method.seeds) for method in comparison.methods
    }


def test_an_npz_says_what_was_scored_without_pickle(comparison: Comparison, tmp_path: Path) -> None:
    save_arrays(comparison, tmp_path / "scores.npz")
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        assert {key: file[key].item() for key in ("problem", "score", "higher_is_better", "baseline")} == {
            "problem": "lander",
            "score": "return",
            "higher_is_better": True,
            "baseline": "shared_aware",
        }
        assert all(file[key].dtype != object for key in file.files)
