from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rliable import library

from mtctl.analysis.comparison import Comparison, compare
from mtctl.analysis.profiles import normalised_scores, profiles, quartiles, worst_and_best
from tests.history.runs_factory import TASKS, scores, write_run

LOWER: dict[str, Any] = {"score": {"name": "error", "higher_is_better": False, "success": None}}
METHODS = {"shared_aware": 100.0, "gradnorm_blind": 130.0, "independent": 40.0}


def compared(root: Path, seeds: int = 5, **options: Any) -> Comparison:
    """Return methods whose tasks differ by hundreds and whose seeds by tens."""
    rng = np.random.default_rng(0)
    for name, average in METHODS.items():
        for seed in range(seeds):
            means = average + 300 * np.arange(len(TASKS)) + 20 * rng.standard_normal(len(TASKS))
            returns = {
                task: scores(float(mean), (task,))[task] for task, mean in zip(TASKS, means, strict=True)
            }
            write_run(root, name, seed, returns=returns, **options)
    return compare([root])


def test_a_task_s_worst_run_is_0_and_its_best_is_1(tmp_path: Path) -> None:
    found = normalised_scores(compared(tmp_path))
    every = np.concatenate(list(found.values()))
    assert list(found) == ["gradnorm_blind", "shared_aware", "independent"]
    assert every.min(0).tolist() == [0, 0, 0]
    assert every.max(0).tolist() == [1, 1, 1]
    assert found["gradnorm_blind"].mean() > found["shared_aware"].mean() > found["independent"].mean()


def test_where_lower_is_better_the_lowest_is_1(tmp_path: Path) -> None:
    higher, lower = compared(tmp_path / "a"), compared(tmp_path / "b", **LOWER)
    turned = normalised_scores(lower)
    for label, each in normalised_scores(higher).items():
        assert turned[label] == pytest.approx(1 - each)
    assert worst_and_best(lower).tolist() == worst_and_best(higher)[::-1].tolist()


def test_equal_scores_are_neither_best_nor_worst(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path, name, returns=scores(100.0))
    found = normalised_scores(compare([tmp_path]))
    assert {label: each.tolist() for label, each in found.items()} == {
        "a": [[0.5, 0.5, 0.5]],
        "b": [[0.5, 0.5, 0.5]],
    }


def test_profiles_are_rliables(tmp_path: Path) -> None:
    comparison, thresholds = compared(tmp_path), np.linspace(0, 1, 21)
    np.random.seed(0)
    shares, ends = library.create_performance_profile(normalised_scores(comparison), thresholds, reps=1500)
    for label, found in profiles(comparison, thresholds).items():
        assert found.shares == pytest.approx(shares[label])
        assert found.ends == pytest.approx(ends[label], abs=0.07)  # steps of 1/15: one run on one task


def test_quartiles_part_all_compared_scores(tmp_path: Path) -> None:
    comparison = compared(tmp_path)
    found = profiles(comparison, quartiles(comparison))
    means = np.mean([each.shares for each in found.values()], axis=0)
    assert means == pytest.approx([0.75, 0.5, 0.25], abs=0.03)


def test_two_seeds_have_a_profile_without_bands(tmp_path: Path) -> None:
    comparison = compared(tmp_path, seeds=2)
    assert {each.ends is None for each in profiles(comparison, quartiles(comparison)).values()} == {True}
