from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtctl.analysis.comparison import compare
from mtctl.analysis.methods import ComparedMethod, mean_ranks, relative_change
from tests.history.runs_factory import TASKS, scores, write_run, write_training


def write_method(root: Path, name: str, averages: list[float]) -> None:
    for seed, average in enumerate(averages):
        write_run(root, name, seed, returns=scores(average))


def found(root: Path, **options: object) -> dict[str, ComparedMethod]:
    return {method.label: method for method in compare([root], **options).methods}  # type: ignore[arg-type]


def test_the_sign_of_the_relative_change_is_better() -> None:
    assert relative_change([110.0, 240.0], [100.0, 200.0], higher_is_better=True) == pytest.approx(15.0)
    assert relative_change([110.0, 240.0], [100.0, 200.0], higher_is_better=False) == pytest.approx(-15.0)
    assert relative_change([50.0], [-100.0], higher_is_better=True) is None
    assert relative_change([1.0, 2.0], [0.0, 1.0], higher_is_better=True) is None


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, 3).map(float), min_size=2, max_size=2), min_size=n, max_size=n
        )
    )
)
def test_mean_ranks_are_scipys(means: list[list[float]]) -> None:
    expected = stats.rankdata(-np.array(means), axis=0).mean(1)
    assert mean_ranks(means, higher_is_better=True) == pytest.approx(expected)
    assert mean_ranks(means, higher_is_better=False) == pytest.approx(stats.rankdata(means, axis=0).mean(1))


def test_one_of_many_comparisons_has_to_be_clearer(tmp_path: Path) -> None:
    """A difference with p = 0.03 is one when it is tested alone, and none beside four others."""
    base = [200.0, 210.0, 190.0, 205.0]
    write_method(tmp_path, "shared_aware", base)
    write_method(
        tmp_path, "gradnorm_blind", [each + gain for each, gain in zip(base, (5, 25, 15, 20), strict=True)]
    )
    alone = found(tmp_path)["gradnorm_blind"]
    assert alone.difference is not None
    assert alone.difference.p_value == pytest.approx(stats.ttest_1samp((5, 25, 15, 20), 0).pvalue)
    assert alone.difference.p_value is not None
    assert 0.02 < alone.difference.p_value < 0.05
    assert alone.verdict == "better"
    for name in ("a", "b", "c", "d"):
        write_method(tmp_path, name, [each + gain for each, gain in zip(base, (9, -9, 8, -7), strict=True)])
    among = found(tmp_path)["gradnorm_blind"]
    assert among.difference is not None
    assert among.difference.interval == alone.difference.interval
    assert among.difference.adjusted == pytest.approx(5 * alone.difference.p_value)
    assert among.verdict.startswith("not distinguishable with 4 seeds, about ")


def test_a_difference_that_no_number_of_seeds_would_find_is_called_so(tmp_path: Path) -> None:
    write_method(tmp_path, "shared_aware", [100.0, 200.0])
    write_method(tmp_path, "same", [100.0, 200.0])
    write_method(tmp_path, "nearly", [150.0, 150.1])
    methods = found(tmp_path)
    text = "not distinguishable with 2 seeds, more than 1,000 would be needed"
    assert methods["same"].verdict == methods["nearly"].verdict == text


def test_intervals_do_not_depend_on_who_else_is_compared(tmp_path: Path) -> None:
    write_method(tmp_path, "shared_aware", [190.0, 200.0, 212.0])
    write_method(tmp_path, "b", [150.3, 170.1, 161.7, 149.9, 158.2])
    alone = found(tmp_path / "b", baseline="b")["b"]
    among = found(tmp_path)["b"]
    assert alone.aggregates == among.aggregates
    assert found(tmp_path, seed=1)["b"].aggregates["mean"].value == among.aggregates["mean"].value
    assert found(tmp_path, seed=1)["b"].aggregates != among.aggregates


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_too_few_seeds_cannot_tell_is_left_out(tmp_path: Path, seeds: int) -> None:
    write_method(tmp_path, "shared_aware", [190.0, 180.0, 195.0])
    write_method(tmp_path, "b", [200.0, 205.0][:seeds])
    method = found(tmp_path)["b"]
    assert {name: each.interval for name, each in method.aggregates.items()} == dict.fromkeys(
        ("mean", "median", "iqm")
    )
    assert (method.improvement, method.relative_change) == (None, None)
    assert method.difference is not None
    assert (method.difference.p_value is None) == (seeds == 1)
    notes = compare([tmp_path]).notes
    assert (
        "bootstrap intervals, Δm and P(better) are left out below 3 seeds, where they mean nothing: b"
        in notes
    )


def test_where_lower_is_better_improvement_and_change_turn(tmp_path: Path) -> None:
    lower = {"score": {"name": "error", "higher_is_better": False, "success": None}}
    for seed in (0, 1, 2):
        write_run(tmp_path, "a", seed, returns=scores(10.0 + seed), **lower)
        write_run(tmp_path, "b", seed, returns=scores(5.0 + seed), **lower)
    method = found(tmp_path)["b"]
    assert method.improvement is not None
    assert (method.improvement.value, method.rank) == (1.0, 1.0)
    assert method.relative_change == pytest.approx(100 * 5 / 11)


def test_parameters_are_set_against_the_score(tmp_path: Path) -> None:
    write_run(tmp_path, returns=scores(71.438))
    assert found(tmp_path)["gradnorm_blind"].per_thousand_parameters == pytest.approx(2.0)


def test_trainings_are_told(tmp_path: Path) -> None:
    for seed in range(3):
        write_training(write_run(tmp_path, seed=seed), [0.0, 100.0 + 100 * seed], every=10)
    method = found(tmp_path)["gradnorm_blind"]
    assert {name: (each.reached, each.units) for name, each in method.reaching.items()} == dict.fromkeys(
        ("average", *TASKS), (2, 20)
    )
    assert method.reaching["average"].amount == 20 * 400
    assert method.sharing is not None
    assert method.sharing.conflict_rate == pytest.approx(0.5)
    assert method.sharing.last["standard"] > method.sharing.first["standard"]
    assert found(tmp_path, threshold=100.0)["gradnorm_blind"].reaching["average"].reached == 3
    assert method.spending.pace == pytest.approx(612_345 / 490.1)
    assert method.spending.memory_mb == 512.0
