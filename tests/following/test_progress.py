from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mtctl.engine.launch.launcher import State
from mtctl.engine.result import RunError, RunResult
from mtctl.engine.spec import RunSpec
from mtctl.following.launched import Launched
from mtctl.following.progress import Plan, Progress, Tail
from mtctl.history import formats
from mtctl.history.runs import read_run
from mtctl.problems.score import Figures
from mtctl.recipes.loading import load
from mtctl.screens.live import units_per_line
from tests.engine.runs import WINDOWS, train
from tests.engine.runs import recipe as recipe_of

TASKS = ("standard", "windy", "heavy")
COUNTED = {"updates": 6, "measured": 6, "conflict_rate": None}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    """Return the progress of 60 episodes."""
    return Progress(Plan.of_recipe(load("equal_blind", ["problem.episodes_per_task=20"]), 3), clock)


def record(episode: int, value: float = -100.0, **signals: Any) -> dict[str, Any]:
    return {
        "kind": "unit",
        "unit": episode,
        "tasks": {TASKS[(episode - 1) % 3]: {"return": value, "steps": 50, "outcome": "crashed"}},
        "extra": {"epsilon": 0.5},
        "environment_steps": 50 * episode,
        "updates": 40 * episode,
        "signals": {**COUNTED, **signals} if signals else None,
    }


def evaluated(average: float, **means: float) -> dict[str, Any]:
    nothing = dict.fromkeys(("sd", "success_rate", "outcomes", "steps"))
    return {
        "kind": "evaluation",
        "unit": 1,
        "updates": 1,
        "average": average,
        "tasks": {
            task: {"mean": mean, "items": 1, "measures": {}, **nothing} for task, mean in means.items()
        },
    }


def epoch(number: int, **losses: float) -> dict[str, Any]:
    signals = {**COUNTED, "weight": dict.fromkeys(losses, 1.0), "gradient_share": dict.fromkeys(losses)}
    tasks = {task: {"loss": loss} for task, loss in losses.items()}
    return {"kind": "unit", "unit": number, "tasks": tasks, "updates": 6 * number, "signals": signals}


def test_nothing_is_known_at_first(progress: Progress) -> None:
    assert (progress.done, progress.units, progress.extra, progress.average) == (
        0,
        60,
        {"epsilon": None},
        None,
    )
    assert progress.steps_per_second is progress.seconds_left is None
    assert all(task.mean is task.success_rate is task.weight is None for task in progress.tasks.values())


def test_returns_and_success_of_each_task(progress: Progress) -> None:
    for episode, value in enumerate([250.0, -100.0, 0.0, 150.0], 1):
        progress.unit_ended(record(episode, value))
    means = {name: task.mean for name, task in progress.tasks.items()}
    assert means == {"standard": 200.0, "windy": -100.0, "heavy": 0.0}
    assert progress.tasks["standard"].success_rate == 0.5
    assert progress.tasks["heavy"].success_rate == 0.0
    assert progress.average == pytest.approx(100 / 3)


def test_running_means_are_over_the_last_50_episodes(progress: Progress) -> None:
    for episode in range(1, 61):
        progress.unit_ended(record(3 * episode, 0.0 if episode <= 10 else 200.0))
    assert progress.tasks["heavy"].mean == 200.0
    assert progress.tasks["heavy"].success_rate == 1.0
    assert len(progress.tasks["heavy"].history) == 60


def test_signals_stay_until_the_next(progress: Progress) -> None:
    weights = {"standard": 1.5, "windy": 0.5, "heavy": None}
    progress.unit_ended(record(1, weight=weights, gradient_share=dict.fromkeys(TASKS, 0.25)))
    progress.unit_ended(record(2))
    assert [task.weight for task in progress.tasks.values()] == [1.5, 0.5, None]
    assert progress.tasks["windy"].share == 0.25


def test_evaluations_are_kept_apart(progress: Progress) -> None:
    progress.unit_ended(evaluated(42.0, windy=40.0))
    assert (progress.evaluation, progress.done) == (42.0, 0)
    assert (progress.tasks["windy"].score, progress.tasks["heavy"].score) == (40.0, None)


def test_pace(progress: Progress, clock: Clock) -> None:
    """It is that of what comes after the first record: before that, the run was being built."""
    clock.now = 2.0
    progress.unit_ended(record(1))
    assert progress.steps_per_second is progress.seconds_left is None
    for episode in (2, 3):
        progress.unit_ended(record(episode))
    clock.now = 6.0
    assert progress.steps_per_second == 25.0
    assert progress.seconds_left == pytest.approx(57 * 2.0)
    assert progress.elapsed == 6.0


def test_pace_of_a_resumed_run_leaves_out_its_past(progress: Progress, clock: Clock) -> None:
    clock.now = 10.0
    progress.unit_ended(record(31))
    clock.now = 20.0
    progress.unit_ended(record(32))
    assert progress.steps_per_second == 50 / 10
    assert progress.seconds_left == 28 * 10.0


@pytest.fixture
def epochs(clock: Clock) -> Progress:
    """Return the progress of 3 epochs."""
    return Progress(Plan.of_recipe(WINDOWS, 3), clock)


def test_epochs_have_losses_of_every_task(epochs: Progress) -> None:
    assert (epochs.unit, epochs.units, epochs.is_played) == ("epoch", 3, False)
    epochs.unit_ended(epoch(1, type=1.5, ptr=0.5, binary=1.0, countdown=20.0))
    epochs.unit_ended(epoch(2, type=1.0, ptr=0.25, binary=1.0, countdown=10.0))
    epochs.unit_ended(evaluated(5.0, type=10.0, ptr=0.0))
    found = {name: (task.mean, task.history, task.score) for name, task in epochs.tasks.items()}
    assert found["type"] == (1.0, [1.5, 1.0], 10.0)
    assert found["countdown"] == (10.0, [20.0, 10.0], None)
    assert (epochs.done, epochs.updates, epochs.evaluation) == (2, 12, 5.0)
    assert (epochs.extra, epochs.average, epochs.tasks["type"].success_rate) == ({}, None, None)
    assert (epochs.tasks["type"].weight, epochs.tasks["type"].share) == (1.0, None)


def test_pace_of_epochs_is_that_of_updates(epochs: Progress, clock: Clock) -> None:
    epochs.unit_ended(epoch(1, type=1.5))
    clock.now = 2.0
    epochs.unit_ended(epoch(2, type=1.0))
    assert epochs.steps_per_second == 3.0
    assert epochs.seconds_left == 2.0


@pytest.mark.parametrize(("units", "every"), [(1, 1), (3, 1), (30, 1), (31, 2), (1500, 50), (1501, 51)])
def test_a_run_prints_no_more_than_thirty_lines(units: int, every: int) -> None:
    recipe = load("equal_blind", ["problem.tasks=[heavy]", f"problem.episodes_per_task={units}"])
    assert units_per_line(Progress(Plan.of_recipe(recipe, 0))) == every


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in records)


def test_tail_reads_what_has_come_line_by_line(tmp_path: Path, progress: Progress) -> None:
    file = tmp_path / "metrics.jsonl"
    tail = Tail(file, progress)
    tail.follow()
    text = lines(record(1), record(2), evaluated(7.0), record(3))
    seen = []
    for character in text:
        with file.open("a") as out:
            out.write(character)
        tail.follow()
        seen.append(progress.done)
    ends = [place for place, character in enumerate(text) if character == "\n"]
    assert [seen[place] for place in ends] == [1, 2, 2, 3]
    assert [seen[place - 1] for place in ends] == [0, 1, 2, 2]
    assert progress.evaluation == 7.0
    assert [len(task.history) for task in progress.tasks.values()] == [1, 1, 1]


def test_tail_measures_the_pace_from_what_it_sees_come(
    tmp_path: Path, progress: Progress, clock: Clock
) -> None:
    """Neither the time that a run has waited nor the records of its past count."""
    file = tmp_path / "metrics.jsonl"
    file.write_text(lines(*map(record, range(1, 31))))
    clock.now = 1000.0
    tail = Tail(file, progress)
    tail.follow()
    assert progress.done == 30
    assert progress.seconds_left is None
    clock.now = 1010.0
    with file.open("a") as out:
        out.write(lines(*map(record, range(31, 41))))
    tail.follow()
    assert progress.steps_per_second == 50.0
    assert progress.seconds_left == pytest.approx(20.0)


class Ended:
    """A handle of a run, as a test says it is."""

    def __init__(self, spec: RunSpec, result: RunResult | None = None, started: float | None = None) -> None:
        self.spec, self.result, self.started, self.delay = spec, result, started, ""

    @property
    def state(self) -> State:
        return "running" if self.result is None else self.result.status

    def stop(self) -> None:
        raise AssertionError


def launched(folder: Path, started: float, result: RunResult | None = None) -> Launched:
    spec = RunSpec(load("equal_blind"), 0, folder)
    return Launched(spec, Ended(spec, result, started))


def write_earlier_run(folder: Path, description: str = "{}") -> float:
    """Leave a run of 30 episodes; return when its run.json was written."""
    (folder / "metrics.jsonl").write_text(lines(*map(record, range(1, 31))))
    (folder / "run.json").write_text(description)
    return (folder / "run.json").stat().st_mtime


def test_what_an_earlier_run_has_left_is_not_shown(tmp_path: Path) -> None:
    """With --force the process first removes it, a second or two after its start."""
    before = write_earlier_run(tmp_path)
    run = launched(tmp_path, before + 5)
    run.look()
    assert run.progress.done == 0
    (tmp_path / "metrics.jsonl").write_text(lines(record(1)))
    os.utime(tmp_path / "run.json", (before + 6, before + 6))
    run.look()
    assert run.progress.done == 1


def test_nor_where_the_new_one_did_not_begin(tmp_path: Path) -> None:
    before = write_earlier_run(tmp_path)
    run = launched(tmp_path, before + 5, RunResult("failed", error=RunError("error", "no room")))
    run.look()
    assert run.progress.done == 0


@pytest.mark.parametrize("begun", [True, False])
def test_nor_while_the_new_one_removes_it(tmp_path: Path, begun: bool) -> None:
    before = write_earlier_run(tmp_path, "{}" if begun else '{"begun": false}')
    run = launched(tmp_path, before - 5)
    run.look()
    assert run.progress.done == (30 if begun else 0)


def test_records_that_were_written_anew_are_followed(tmp_path: Path) -> None:
    """A run that is prolonged may put others in the place of those that were there."""
    run = launched(tmp_path, write_earlier_run(tmp_path) - 5)
    run.look()
    (tmp_path / "new").write_text(lines(*map(record, range(1, 41))))
    (tmp_path / "new").replace(tmp_path / "metrics.jsonl")
    run.look()
    assert run.progress.done == 40


def test_tail_notices_that_a_run_has_gone_back(tmp_path: Path, progress: Progress) -> None:
    """Resumed from a checkpoint the file is shorter; begun anew it is another."""
    file = tmp_path / "metrics.jsonl"
    file.write_text(lines(*map(record, range(1, 31))))
    tail = Tail(file, progress)
    tail.follow()
    assert not tail.lost
    file.write_text(lines(record(1)))
    tail.follow()
    assert tail.lost
    assert progress.done == 30
    again = Tail(file, progress)
    again.follow()
    (tmp_path / "new").write_text(lines(*map(record, range(1, 41))))
    (tmp_path / "new").replace(file)
    again.follow()
    assert again.lost
    file.unlink()
    again.follow()
    assert again.lost


def test_evaluations_are_kept_with_their_place(progress: Progress) -> None:
    for episode, average in ((3, 1.0), (6, 2.5)):
        progress.unit_ended(record(episode))
        progress.unit_ended(evaluated(average))
    assert progress.evaluations == [(3, 1.0), (6, 2.5)]
    assert progress.evaluation == 2.5


def test_the_plan_of_a_run_is_that_of_its_recipe(tmp_path: Path) -> None:
    for name, recipe in (
        ("lander", recipe_of("equal_blind", "problem.episodes_per_task=1")),
        ("windows", WINDOWS),
    ):
        train(tmp_path / name, recipe, seed=5)
        found, planned = Plan.of_run(read_run(tmp_path / name)), Plan.of_recipe(recipe, 5)
        for field in ("name", "seed", "tasks", "unit", "units", "is_played"):
            assert getattr(found, field) == getattr(planned, field)
        assert found.score.success == planned.score.success
        assert isinstance(planned.figures, Figures)
        assert found.figures == formats.RecordedFigures.model_validate(asdict(planned.figures))
