"""What a best checkpoint's score owes to its selection."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from mtctl.analysis.selection import (
    Selection,
    Unknown,
    judge_selection,
    mean_bias,
    read_selection,
    selected,
    selection_notes,
)
from mtctl.history.formats import Evaluation, Run
from mtctl.history.records import EvaluationRecord
from mtctl.history.runs import evaluation, read_run
from tests.history.runs_factory import (
    TASKS,
    WINDOWS_TASKS,
    evaluation_document,
    scores,
    write_run,
    write_training,
    write_windows_run,
)


def record(values: Mapping[str, Sequence[float]], episode: int = 50, **changes: Any) -> EvaluationRecord:
    """Return an evaluation during training of these items."""
    tasks: dict[str, dict[str, Any]] = {
        task: {
            "mean": float(np.mean(found)),
            "sd": float(np.std(found, ddof=1)) if len(found) > 1 else None,
            "success_rate": None,
            "items": len(found),
            "outcomes": None,
            "steps": None,
            "measures": {},
        }
        for task, found in values.items()
    }
    average = float(np.mean([task["mean"] for task in tasks.values()]))
    return msgspec.convert(
        {"kind": "evaluation", "unit": episode, "updates": 1, "tasks": tasks, "average": average} | changes,
        EvaluationRecord,
    )


def fresh(
    run: Run, values: Mapping[str, Sequence[float]], checkpoint: str = "best", done: int = 50
) -> Evaluation:
    document = evaluation_document(run.model_dump(), values, checkpoint=checkpoint, done=done)
    return Evaluation.model_validate({**document, "tasks": document["tasks"]})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_run(write_run(tmp_path))


def alike(*values: float) -> dict[str, list[float]]:
    """Return the same scores for every task."""
    return {task: list(values) for task in TASKS}


def known(found: Selection | Unknown) -> Selection:
    assert isinstance(found, Selection), found
    return found


def test_the_best_evaluation_is_the_first_with_the_highest_average(run: Run) -> None:
    found = [record(alike(value), place) for place, value in ((50, 1.0), (100, 3.0))]
    assert selected(run, found) == found[1]
    tied = [*found, record(alike(3.0), 150)]
    assert selected(run, tied) == found[1]
    assert selected(run, []) is None
    lower = run.model_copy(update={"score": run.score.model_copy(update={"higher_is_better": False})})
    assert selected(lower, tied) == found[0]


def test_one_task_has_welchs_interval(run: Run) -> None:
    rng = np.random.default_rng(3)
    monitored, held_out = rng.normal(230, 40, 5), rng.normal(180, 90, 100)
    one = run.model_copy(update={"tasks": ("standard",)})
    found = known(
        judge_selection(
            one, [record({"standard": monitored.tolist()})], fresh(one, {"standard": held_out.tolist()})
        )
    )
    theirs = stats.ttest_ind(monitored, held_out, equal_var=False)
    half = stats.t.ppf(0.975, int(theirs.df)) * math.hypot(
        monitored.std(ddof=1) / math.sqrt(5), held_out.std(ddof=1) / 10
    )
    assert found.average.bias == pytest.approx(monitored.mean() - held_out.mean())
    assert found.average.half_width == pytest.approx(half)
    assert found.average.interval == found.tasks["standard"].interval
    # Rounding the degrees of freedom down widens it by less than one degree does.
    ends = theirs.confidence_interval(0.95)
    assert found.average.interval is not None
    assert found.average.interval.low <= ends.low < ends.high <= found.average.interval.high
    assert found.average.half_width < 1.1 * (ends.high - ends.low) / 2


def simulate(rng: np.random.Generator, run: Run, checkpoints: int, items: int) -> tuple[Selection, float]:
    """Return a selection among policies with landings and crashes, and by how much its score is too high."""
    landing = np.clip(np.linspace(0.1, 0.6, checkpoints) + rng.normal(0, 0.05, checkpoints), 0.02, 0.98)

    def play(rate: float, number: int) -> np.ndarray:
        landed = rng.random((len(TASKS), number)) < rate
        return np.where(landed, 250.0, -150.0) + rng.normal(0, 20, landed.shape)

    monitored = [play(rate, items) for rate in landing]
    records = [
        record(dict(zip(TASKS, values, strict=True)), 50 * (place + 1))
        for place, values in enumerate(monitored)
    ]
    best = selected(run, records)
    assert best is not None
    rate = landing[best.unit // 50 - 1]
    held_out = dict(zip(TASKS, play(rate, 100).tolist(), strict=True))
    found = known(judge_selection(run, records, fresh(run, held_out, done=best.unit)))
    return found, best.average - (250 * rate - 150 * (1 - rate))


@pytest.mark.parametrize(("checkpoints", "items"), [(1, 20), (20, 5)])
def test_the_interval_holds_the_expected_bias(run: Run, checkpoints: int, items: int) -> None:
    """In 95 % of the cases without a selection; a selected mean varies less than its items, so in more."""
    rng = np.random.default_rng(0)
    simulated = [simulate(rng, run, checkpoints, items) for _ in range(300)]
    bias = np.mean([excess for _, excess in simulated])
    intervals = [found.average.interval for found, _ in simulated]
    held = np.mean([ends is not None and ends.low <= bias <= ends.high for ends in intervals])
    assert held >= 0.92
    assert held <= 0.98 or checkpoints > 1
    assert np.mean([found.average.bias for found, _ in simulated]) == pytest.approx(bias, abs=5)
    assert bias > 50 or checkpoints == 1
    # What the score of this very checkpoint says too much is known better: the record itself is what it is.
    exact = [
        found.average.recorded - found.average.fresh.interval.high
        <= excess
        <= found.average.recorded - found.average.fresh.interval.low
        for found, excess in simulated
        if found.average.fresh.interval is not None
    ]
    assert 0.92 <= np.mean(exact) <= 0.98


def test_windows_are_scored_on_every_task_together(tmp_path: Path) -> None:
    """Noise that all tasks share does not average out over them; noise of their own does."""
    windows = read_run(write_windows_run(tmp_path))
    rng = np.random.default_rng(1)

    def half_width(shared: float) -> float:
        def score(number: int) -> dict[str, Sequence[float]]:
            common = rng.normal(0, shared, number)
            return {task: (common + rng.normal(0, 1 - shared, number)).tolist() for task in WINDOWS_TASKS}

        monitored = record(score(2000), 5)
        found = known(judge_selection(windows, [monitored], fresh(windows, score(2000), done=5)))
        assert found.average.half_width is not None
        return found.average.half_width

    one_mean = 1.96 * math.sqrt(2 / 2000)
    assert half_width(1.0) == pytest.approx(one_mean, rel=0.05)
    assert half_width(0.0) == pytest.approx(one_mean / 2, rel=0.05)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("played", [True, False])
def test_scores_that_are_all_the_same(run: Run, tmp_path: Path, number: int, played: bool) -> None:
    one = run if played else read_run(write_windows_run(tmp_path))
    same = {task: [7.0] * number for task in one.tasks}
    found = known(judge_selection(one, [record(same)], fresh(one, same)))
    assert found.average.bias == 0
    assert found.average.half_width == (None if number == 1 else 0.0)


def test_of_one_monitored_episode_the_fresh_ones_tell_the_noise(run: Run) -> None:
    held_out = np.random.default_rng(2).normal(0, 50, 100).tolist()
    alone = known(judge_selection(run, [record(alike(9.0))], fresh(run, dict.fromkeys(TASKS, held_out))))
    half = alone.tasks["windy"].half_width
    deviation = np.std(held_out, ddof=1)
    assert half == pytest.approx(stats.t.ppf(0.975, 100) * deviation * math.sqrt(1 + 1 / 100), rel=1e-2)


def test_best_against_last_is_paired_by_item(run: Run) -> None:
    luck = np.random.default_rng(4).normal(0, 80, 100)
    best = fresh(run, dict.fromkeys(TASKS, (luck + 10).tolist()))
    last = fresh(run, dict.fromkeys(TASKS, luck[:60].tolist()), "last", run.budget.done)
    found = known(judge_selection(run, [record(alike(9.0, 8.0))], best, last)).last
    assert found is not None
    assert (found.done, found.difference.n) == (1500, 60)
    assert found.difference.mean == pytest.approx(10)
    assert found.difference.half_width == pytest.approx(0, abs=1e-9)
    assert found.mean == pytest.approx(luck[:60].mean())


@pytest.mark.parametrize(
    "change",
    [{"seeds": "monitor"}, {"definition_hash": "another"}, {"done": 1499}, {"tasks": None}],
    ids=["seeds", "definition", "before the end", "a part"],
)
def test_another_evaluation_of_the_last_is_not_beside_it(run: Run, change: dict[str, Any]) -> None:
    values = alike(1.0, 2.0)
    last = fresh(run, values, "last", run.budget.done)
    part = {"tasks": {"windy": last.tasks["windy"]}} if "tasks" in change else change
    found = judge_selection(run, [record(values)], fresh(run, values), last.model_copy(update=part))
    assert known(found).last is None


def test_ties_are_counted(run: Run) -> None:
    values = alike(1.0, 2.0)
    records = [record(values, place) for place in (50, 100, 150)]
    found = known(judge_selection(run, records, fresh(run, values)))
    assert (found.place, found.evaluations, found.ties) == (50, 3, 2)


def test_what_the_records_do_not_tell_is_named(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    write_training(path, [100.0, 300.0, 200.0])
    run = read_run(path)
    best = fresh(run, alike(1.0, 2.0), done=100)
    found = known(read_selection(run, best, evaluation(path)))
    assert (found.place, found.average.recorded, found.average.items) == (100, 300.0, 5)
    nowhere = read_selection(run, best.model_copy(update={"done": 120}))
    assert isinstance(nowhere, Unknown)
    assert "no record of an evaluation at episode 120" in nowhere.reason
    (path / "metrics.jsonl").unlink()
    gone = read_selection(run, best)
    assert isinstance(gone, Unknown)
    assert "has no metrics.jsonl" in gone.reason


def selections(run: Run, *biases: float) -> list[Selection]:
    values = alike(100.0, 120.0)
    return [
        known(
            judge_selection(run, [record({task: [110.0 + bias] * 5 for task in TASKS})], fresh(run, values))
        )
        for bias in biases
    ]


def test_the_mean_bias_over_seeds_has_students_interval(run: Run) -> None:
    found = mean_bias(selections(run, 10.0, 30.0, 50.0))
    theirs = stats.ttest_1samp([10.0, 30.0, 50.0], 0).confidence_interval(0.95)
    assert found.interval is not None
    assert (found.n, found.mean) == (3, 30.0)
    assert [found.interval.low, found.interval.high] == pytest.approx([theirs.low, theirs.high])
    assert mean_bias(selections(run, 10.0)).interval is None


def test_notes_say_how_much_better_methods_looked(run: Run) -> None:
    found = {"a": selections(run, 10.0, 30.0), "b": selections(run, -5.0)}
    first, second, third = selection_notes(found, "episode", 100, higher_is_better=True)
    assert "5 episodes of each task" in first
    assert "100 held-out ones" in first
    assert "20.0 ± 127.1 (a), -5.0 (b)" in second
    assert third.endswith("with one seed each: b")
    _, lower, _ = selection_notes(found, "episode", 100, higher_is_better=False)
    assert "-20.0 ± 127.1 (a), 5.0 (b)" in lower


def test_the_factory_and_the_engine_agree_on_what_best_is(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    write_training(path, [1.0, 5.0, 5.0, 2.0])
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    found = [msgspec.convert(line, EvaluationRecord) for line in lines if line["kind"] == "evaluation"]
    best = selected(read_run(path), found)
    assert best is not None
    assert best.unit == 100
    assert scores(5.0).keys() == best.tasks.keys()
