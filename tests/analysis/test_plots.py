from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtctl.analysis.comparison import Comparison, compare
from mtctl.analysis.plots import (
    conflicts,
    learning_curves,
    require_matplotlib,
    weights,
    write_plots,
)
from mtctl.analysis.trainings import efficiency_curve, read_trainings
from mtctl.errors import MtctlError
from mtctl.history.curves import Trainings
from mtctl.history.series import MOST_STRETCHES
from mtctl.statistics import estimate
from tests.history.runs_factory import scores, write_run, write_training, write_windows_run

FIGURES = (
    "learning_curves",
    "task_scores",
    "performance_profiles",
    "sample_efficiency",
    "weights",
    "conflicts",
)
BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    for seed in range(3):
        for name, gain in {"shared_aware": 0.0, "gradnorm_blind": 50.0}.items():
            run = write_run(tmp_path, name, seed, returns=scores(100 + gain + 10 * seed))
            write_training(run, [gain, gain + 50, gain + 100 + 10 * seed], every=10, steps=100 + 10 * seed)
    return compare([tmp_path])


def test_every_figure_is_written_in_every_format(found: Comparison, tmp_path: Path) -> None:
    files = list(write_plots(found, tmp_path, tuple(BEGINNINGS)))
    assert [file.name for file in files] == [f"{name}.{form}" for name in FIGURES for form in BEGINNINGS]
    for file in files:
        assert file.read_bytes().startswith(BEGINNINGS[file.suffix[1:]])


def test_the_same_comparison_draws_the_same_bytes(found: Comparison, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        list(write_plots(found, folder, ("svg",)))
    assert all(
        (folders[0] / f"{name}.svg").read_bytes() == (folders[1] / f"{name}.svg").read_bytes()
        for name in FIGURES
    )


def test_weights_and_conflicts_with_gaps_are_visible(tmp_path: Path) -> None:
    write_training(write_run(tmp_path, budget={"done": 4}, evaluation={"done": 4}), [1.0, 2.0])
    found = compare([tmp_path])
    rates = np.full(MOST_STRETCHES, np.nan)
    rates[[3, 40]] = 0.25, 0.75
    gaps = Trainings((), found.tasks, found.balanced, "return")
    gaps.__dict__.update(conflicts=rates, weights={"windy": rates, "heavy": 1000 * rates})
    drawn = weights(found, {"gradnorm_blind": gaps})
    assert drawn is not None
    axis = drawn.axes[0]
    assert [np.size(line.get_xdata()) for line in axis.lines] == [2, 2]  # joined across the gap
    assert {line.get_marker() for line in axis.lines} == {"."}
    assert axis.get_yscale() == "log"
    image = conflicts(found, {"gradnorm_blind": gaps}).axes[0].images[0].get_array()  # type: ignore[union-attr]
    assert not np.isnan(np.asarray(image)).any()
    assert set(np.asarray(image).ravel()) == {0.25, 0.75}


def test_no_legend_covers_a_title_or_a_panel(found: Comparison) -> None:
    figure = learning_curves(found, read_trainings(found))
    assert figure is not None
    figure.draw_without_rendering()
    (legend,) = figure.legends
    below = legend.get_window_extent()
    assert all(below.y1 <= axis.get_window_extent().y0 for axis in figure.axes)


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    name = r"costs_$\nothing{$"
    for seed in range(2):
        write_run(tmp_path, "shared_aware", seed)
        write_training(write_run(tmp_path, name, seed), [0.0, 50.0], every=10)
    (tmp_path / "figures").mkdir()
    assert len(list(write_plots(compare([tmp_path]), tmp_path / "figures"))) >= 2


def test_what_is_not_known_is_not_drawn(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (write_windows_run(tmp_path, name) / "metrics.jsonl").unlink()
    found = compare([tmp_path])
    assert [file.stem for file in write_plots(found, tmp_path)] == ["task_scores", "performance_profiles"]
    assert "2 runs have no metrics.jsonl: figures about training leave them out" in found.notes


def test_learning_curves_are_means_with_t_intervals(found: Comparison) -> None:
    curve = read_trainings(found)["gradnorm_blind"].evaluated(found.tasks)
    assert curve is not None
    assert curve.units.tolist() == [10, 20, 30]
    assert curve.mean.tolist() == [50, 100, 160]
    assert curve.low is not None
    assert curve.high is not None
    last = estimate([150.0, 160.0, 170.0]).interval
    assert last is not None
    assert (curve.low[-1], curve.high[-1]) == pytest.approx((last.low, last.high))


def test_efficiency_is_followed_as_far_as_all_runs_came(found: Comparison) -> None:
    curve = efficiency_curve(read_trainings(found)["shared_aware"], found.tasks)
    assert curve is not None
    assert (curve.units[0], curve.units[-1]) == (1200, 3000)
    assert curve.low is not None
    assert curve.high is not None
    assert (curve.low <= curve.mean).all()
    assert (curve.mean <= curve.high).all()


def test_stretches_of_training_keep_their_means(tmp_path: Path) -> None:
    write_training(write_run(tmp_path, budget={"done": 100}, evaluation={"done": 100}), [1.0, 2.0])
    training = read_trainings(compare([tmp_path]))["gradnorm_blind"]
    rates = training.conflicts
    assert rates is not None
    assert rates.shape == (MOST_STRETCHES,)
    assert rates == pytest.approx((np.arange(0, 100, 2) + 0.5) / 99)
    assert training.weights["standard"] == pytest.approx(1 + 2 * rates)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return find(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MtctlError, match="--plot needs matplotlib") as caught:
        require_matplotlib()
    assert caught.value.hint == 'pip install "mtctl[plot]"'
