"""Diagnoses of runs on disk: trained ones, failed ones, unfinished ones, and directories that are none."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import planted
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.run import diagnose_run
from mtctl.diagnosis.report import Diagnosis
from mtctl.errors import MtctlError
from mtctl.history.formats import Failure
from mtctl.history.runs import evaluation
from tests.diagnosis.records.histories import FALLING, LEVEL, TASKS, codes, diagnosed, epochs, subject
from tests.engine import runs as lander_runs
from tests.engine.runs import execute
from tests.recipes.samples import windows

RECIPE = """
name: tiny
problem:
  kind: windows
  data: {kind: synthetic, windows: 48, validation: 16, held_out: 32}
model: {kind: bilstm, hidden: 8, projection: 8}
training: {epochs: 5, optimizer: adam, batch_size: 16, lr: 5e-3}
monitor: {every: 2}
balancer:
  - {kind: running_mean}
  - {kind: manual, weights: {type: 0.1, ptr: 0.7, binary: 0.1, countdown: 0.1}}
"""
"""The documented loop in small: 15 updates."""
STANDARDISED = ("balancer={kind: equal}", "model.standardise=[type,ptr,binary,countdown]")
LEARNS = (
    *STANDARDISED,
    *("training.lr=0.01", "training.epochs=20", "model.dropout=0", "model.head_dropout=0"),
)


def train(folder: Path, *overrides: str, fault: dict[str, Any] | None = None) -> Path:
    """Train a tiny windows run, which may diverge, and return its directory."""
    file, run = folder / "tiny.yaml", folder / "seed0"
    file.write_text(RECIPE)
    recipe = windows(file, list(overrides))
    if fault is not None:
        recipe = planted(recipe, fault)
    with suppress(MtctlError):
        execute(recipe, 0, run)
    return run


def diagnose(folder: Path, *overrides: str, fault: dict[str, Any] | None = None) -> Diagnosis:
    return diagnose_run(train(folder, *overrides, fault=fault))


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("documented"))


def test_the_documented_loop_shows_its_symptom_and_both_causes(documented: Path) -> None:
    found = diagnose_run(documented)
    assert found.symptom is not None
    assert found.symptom.present
    assert "countdown" in found.symptom.flat
    assert found.symptom.updates == 15
    assert {(Code.TARGET_OUT_OF_REACH, "countdown"), (Code.MULTIPLIER_DOMINANCE, "countdown")} <= set(
        codes(found)
    )
    assert {finding.code for finding in found.findings} <= set(Code)
    assert {finding.confidence for finding in found.findings} <= {"likely", "possible"}
    assert (found.subject.kind, found.subject.name, found.subject.seeds) == ("run", str(documented), (0,))
    assert (found.subject.unit, found.subject.units, found.subject.updates) == ("epoch", 5, 15)


def test_states_are_of_the_records_and_skill_of_held_out_windows(documented: Path) -> None:
    lines = [json.loads(line) for line in (documented / "metrics.jsonl").read_text().splitlines()]
    epoch_losses = [line["tasks"]["countdown"]["loss"] for line in lines if line["kind"] == "unit"]
    scored = json.loads((documented / "eval.json").read_text())["tasks"]["countdown"]
    state = next(state for state in diagnose_run(documented).states if state.task == "countdown")
    assert (state.first, state.last) == (epoch_losses[0], epoch_losses[-1])
    assert state.skill == pytest.approx(sum(scored["scores"]) / len(scored["scores"]) / 100)
    assert state.measures["held_out_loss"] == scored["measures"]["loss"]
    assert state.constant == pytest.approx(15.3, abs=0.5)
    assert diagnose_run(documented).signals["reach"]["countdown"] is not None


def test_a_run_that_learns_has_no_error(tmp_path: Path) -> None:
    found = diagnose(tmp_path, *LEARNS)
    assert [state.task for state in found.states if state.state == "learns"] == list(found.subject.tasks)
    assert [finding for finding in found.findings if finding.severity == "error"] == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("detached", Code.DETACHED_TASK),
        ("not_in_optimizer", Code.NOT_IN_OPTIMIZER),
        ("dead_head", Code.DEAD_HEAD),
    ],
)
def test_wrong_wiring_is_certain(tmp_path: Path, fault: str, code: str) -> None:
    found = diagnose(tmp_path, *STANDARDISED, fault={"kind": fault, "task": "binary"})
    assert [(each.code, each.task) for each in found.findings if each.confidence == "certain"] == [
        (code, "binary")
    ]


def test_contradicting_tasks_are_in_conflict(tmp_path: Path) -> None:
    fault = {"kind": "contradiction", "task": "countdown", "by": "ptr"}
    found = diagnose(tmp_path, *STANDARDISED, fault=fault)
    assert {(Code.CONFLICT, "ptr"), (Code.CONFLICT, "countdown")} <= set(codes(found))


def test_a_loss_that_is_missing_from_the_start_points_at_the_targets(tmp_path: Path) -> None:
    found = diagnose(tmp_path, fault={"kind": "missing_targets", "task": "ptr", "fraction": 1.0})
    assert codes(found) == [(Code.BAD_TARGETS, "ptr")]
    assert "nan" in found.findings[0].summary
    assert "failed" in found.notes[0]


def test_a_lander_run(tmp_path: Path) -> None:
    lander_runs.train(tmp_path / "seed0")
    found = diagnose_run(tmp_path / "seed0")
    assert (found.subject.problem, found.subject.unit, found.symptom) == ("lander", "episode", None)
    assert {state.state for state in found.states} == {"unknown"}
    assert codes(found) == [(Code.BUDGET_TOO_SMALL, None)]
    assert set(found.signals["replay_rows"]) == set(found.subject.tasks)


def test_failures_are_told_apart() -> None:
    records = epochs({"a": FALLING, "b": FALLING})
    after = Failure(message="diverged", kind="diverged", task="b", found="loss nan", place="epoch 7")
    assert codes(diagnosed(records, subject(), failure=after)) == [(Code.DIVERGED, "b")]
    first = Failure(message="diverged", kind="diverged", task="b", found="loss inf", place="epoch 1, step 3")
    assert codes(diagnosed([], subject(), failure=first)) == [(Code.DIVERGED, "b")]
    nan = Failure(message="diverged", kind="diverged", task="b", found="loss nan", place="epoch 1, step 4")
    by_rate = diagnosed([], replace(subject(), updates=4), failure=nan)
    assert codes(by_rate) == [(Code.DIVERGED, "b")]
    assert "after 4 updates: the learning rate is too high, or" in by_rate.findings[0].summary
    assert {check.outcome for check in by_rate.checks} == {"found", "not_run"}, "nothing was looked at"
    assert codes(diagnosed([], replace(subject(), updates=0), failure=nan)) == [(Code.BAD_TARGETS, "b")]
    full = diagnosed(records, subject(), failure=Failure(message="no space left on device"))
    earlier = Failure(message="diverged in epoch 7, step 301: task `b` has loss nan")
    assert codes(diagnosed(records, subject(), failure=earlier)) == []
    assert codes(full) == []
    assert full.checks[0].outcome == "found"


def test_only_a_skill_is_read_as_one(documented: Path) -> None:
    scored = evaluation(documented)
    assert scored is not None
    lines = [json.loads(line) for line in (documented / "metrics.jsonl").read_text().splitlines()]
    skill, other = (
        diagnosed(lines, replace(diagnose_run(documented).subject, problem=problem), evaluation=scored)
        for problem in ("windows", "of my own")
    )
    for state, of_skill in zip(other.states, skill.states, strict=True):
        assert state.constant is not None
        assert state.skill == pytest.approx(1 - state.last / state.constant)
        assert state.skill != pytest.approx(of_skill.skill)
        assert state.measures == of_skill.measures


def test_records_in_memory_are_those_of_the_file(documented: Path) -> None:
    lines = [json.loads(line) for line in (documented / "metrics.jsonl").read_text().splitlines()]
    read = diagnose_run(documented)
    held = diagnosed(lines, read.subject)
    assert [(state.first, state.last) for state in held.states] == [
        (state.first, state.last) for state in read.states
    ]
    assert held.signals == read.signals


def test_nothing_recorded_is_no_finding() -> None:
    for problem in ("windows", "lander"):
        found = diagnosed([], subject(TASKS, problem))
        assert codes(found) == []
        assert found.symptom is None
        assert {state.state for state in found.states} == {"unknown"}
        assert found.notes


def test_findings_are_ranked() -> None:
    losses = {"a": LEVEL, "b": FALLING, "c": LEVEL}
    signals = {"b": {"own_update": 0.0}, "c": {"relative_loss": 1.0}, "a": {"relative_loss": 0.95}}
    found = diagnosed(epochs(losses, signals), subject(tuple(losses)))
    assert codes(found) == [(Code.NOT_IN_OPTIMIZER, "b"), (Code.FLAT_TASK, "a"), (Code.FLAT_TASK, "c")]


def test_an_unfinished_run_says_so(documented: Path, tmp_path: Path) -> None:
    run = json.loads((documented / "run.json").read_text())
    run |= {"status": "interrupted", "budget": {**run["budget"], "units": 50}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    lines = (documented / "metrics.jsonl").read_text()
    (tmp_path / "metrics.jsonl").write_text(lines[:-40])
    notes = diagnose_run(tmp_path).notes
    assert "interrupted: the findings are about the 5 of 50 epochs that are recorded" in notes[0]
    assert "cut off" in notes[1]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(MtctlError):
            diagnose_run(path)
