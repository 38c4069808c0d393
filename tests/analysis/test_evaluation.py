from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtctl.analysis.evaluation import Summary, summarise
from mtctl.history.runs import evaluation, read_run
from tests.history.runs_factory import write_run, write_windows_run


def summary(path: Path) -> Summary:
    found = evaluation(path)
    assert found is not None
    return summarise(found, read_run(path).score)


def test_rows_follow_the_run(tmp_path: Path) -> None:
    returns = {"standard": (100.0, 150.0, 200.0, 250.0), "windy": (-50.0, -10.0, 30.0, 199.9)}
    found = summary(write_run(tmp_path, tasks=("standard", "windy"), returns=returns))
    standard, windy = found.tasks
    assert (standard.task, windy.task) == ("standard", "windy")
    assert (standard.scores.mean, standard.scores.n, standard.steps) == (175.0, 4, 101.5)
    assert standard.scores.sd == pytest.approx(64.549722)
    assert standard.scores.interval is not None
    assert standard.scores.interval.low == pytest.approx(72.286987)
    assert (standard.outcomes.successes, standard.outcomes.success_rate) == (2, 0.5)
    assert standard.success is not None
    assert standard.success.low == pytest.approx(0.150039)
    assert windy.outcomes.ends == {"landed": 0, "crashed": 2, "timed_out": 2}
    assert windy.outcomes.successes == 0
    assert found.average == pytest.approx((175.0 + 42.475) / 2)
    assert (found.outcomes.items, found.outcomes.successes, found.outcomes.ends["timed_out"]) == (8, 2, 4)
    assert (found.steps, found.measures) == (101.5, ())


def test_windows_have_measures_and_neither_outcomes_nor_steps(tmp_path: Path) -> None:
    found = summary(write_windows_run(tmp_path))
    kind, _, binary, _ = found.tasks
    assert (kind.task, kind.scores.mean, kind.scores.n) == ("type", 175.0, 4)
    assert (kind.steps, found.steps, kind.success) == (None, None, None)
    assert (kind.outcomes.successes, kind.outcomes.success_rate, found.outcomes.ends) == (None, None, {})
    assert binary.measures == {"loss": 0.248, "span_f1": 0.0}
    assert found.measures == ("loss", "accuracy", "pointer_error", "span_f1", "start_mae")


def test_no_ending_is_lost(tmp_path: Path) -> None:
    """Declared endings come first, with 0 where there is none; an undeclared one is counted all the same."""
    path = write_run(tmp_path, tasks=("standard",), score={"outcomes": ["landed", "exploded"]})
    counted = summary(path).outcomes
    assert list(counted.ends.items()) == [("landed", 2), ("exploded", 0), ("timed_out", 2)]
    assert counted.share("landed") == 0.5
    assert counted.share("sunk") == 0.0


@pytest.mark.parametrize(
    ("score", "successes"),
    [
        ({"success": 150.0}, 3),
        ({"success": 150.0, "higher_is_better": False}, 2),
        ({"success": None}, None),
    ],
)
def test_success_is_what_the_score_says(tmp_path: Path, score: dict[str, Any], successes: int | None) -> None:
    row = summary(write_run(tmp_path, score=score)).tasks[0]
    assert row.outcomes.successes == successes
    assert (row.success is None) == (row.outcomes.success_rate is None) == (successes is None)
