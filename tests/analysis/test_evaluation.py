from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtctl.analysis.evaluation import Summary, summarise
from mtctl.analysis.runs import evaluation, read_run
from tests.analysis.runs_factory import write_run


def summary(path: Path) -> Summary:
    found = evaluation(path)
    assert found is not None
    return summarise(found, read_run(path).score)


def test_rows_follow_the_run(tmp_path: Path) -> None:
    returns = {"standard": (100.0, 150.0, 200.0, 250.0), "windy": (-50.0, -10.0, 30.0, 199.9)}
    found = summary(write_run(tmp_path, tasks=("standard", "windy"), returns=returns))
    standard, windy = found.tasks
    assert (standard.task, windy.task) == ("standard", "windy")
    assert (standard.returns.mean, standard.returns.n, standard.steps) == (175.0, 4, 101.5)
    assert standard.returns.sd == pytest.approx(64.549722)
    assert standard.returns.interval is not None
    assert standard.returns.interval.low == pytest.approx(72.286987)
    assert (standard.outcomes.successes, standard.outcomes.success_rate) == (2, 0.5)
    assert standard.success is not None
    assert standard.success.low == pytest.approx(0.150039)
    assert (windy.outcomes.landed, windy.outcomes.timed_out, windy.outcomes.crashed) == (0, 2, 2)
    assert windy.outcomes.successes == 0
    assert found.average == pytest.approx((175.0 + 42.475) / 2)
    assert (found.outcomes.episodes, found.outcomes.successes, found.outcomes.timed_out) == (8, 2, 4)
    assert found.steps == 101.5


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
