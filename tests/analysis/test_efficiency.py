from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mtctl.analysis.efficiency import (
    AVERAGE,
    Arrival,
    arrival,
    censored_median,
    followed,
    reaching,
    thresholds,
)
from mtctl.history.records import EvaluationRecord
from tests.history.runs_factory import TASKS, run_document, training


def evaluations(averages: Sequence[float], every: int = 50) -> list[EvaluationRecord]:
    lines = training(run_document(), averages, every=every)
    return [msgspec.convert(line, EvaluationRecord) for line in lines if line["kind"] == "evaluation"]


def arrived(averages: Sequence[float], threshold: float = 200.0, *, higher: bool = True) -> Arrival:
    return arrival(evaluations(averages), TASKS, threshold, higher_is_better=higher)


def test_a_run_arrives_at_the_first_evaluation_at_the_threshold() -> None:
    assert arrived([0.0, 199.9, 200.0, 0.0]) == Arrival(True, 150, 150 * 400)
    assert arrived([0.0, 199.9]) == Arrival(False, 100, 100 * 400)
    assert arrived([9.0, 5.0, 3.0], 5.0, higher=False) == Arrival(True, 100, 100 * 400)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9).map(float), st.booleans()), min_size=1, max_size=12))
def test_the_median_is_that_of_scipys_kaplan_meier_curve(times: list[tuple[float, bool]]) -> None:
    sample = stats.CensoredData.right_censored([time for time, _ in times], [not seen for _, seen in times])
    curve = stats.ecdf(sample).sf
    below = np.flatnonzero(curve.probabilities <= 0.5 + 1e-12)
    expected = float(curve.quantiles[below[0]]) if len(below) else None
    assert censored_median(times) == expected


def test_runs_that_did_not_arrive_are_counted() -> None:
    found = reaching(200.0, [Arrival(True, 100, 1000), Arrival(True, 300, 3000), Arrival(False, 500, 5000)])
    assert (found.reached, found.runs, found.units, found.amount) == (2, 3, 300, 3000)
    assert (found.longest, found.largest) == (500, 5000)


def test_no_median_is_made_up_where_most_did_not_arrive() -> None:
    found = reaching(200.0, [Arrival(True, 100, 1000), Arrival(False, 500, 5000), Arrival(False, 500, 5000)])
    assert (found.reached, found.units, found.amount, found.longest) == (1, None, None, 500)
    assert reaching(200.0, [Arrival(True, 100, 1000)]).longest is None


def test_without_a_threshold_of_success_it_is_where_the_baseline_ends() -> None:
    assert thresholds(200.0, [], TASKS) == dict.fromkeys([AVERAGE, *TASKS], 200.0)
    runs = [evaluations([0.0, 10.0]), evaluations([0.0, 30.0])]
    assert thresholds(None, runs, TASKS) == pytest.approx(dict.fromkeys([AVERAGE, *TASKS], 20.0))
    assert thresholds(None, [], TASKS) == {}


def test_runs_without_an_evaluation_of_all_tasks_are_not_followed() -> None:
    records = evaluations([1.0, 2.0])
    assert followed([records, []], TASKS) == [records]
    assert followed([records], ("other",)) == []
