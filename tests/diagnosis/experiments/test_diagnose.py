"""The whole of a diagnosis, on recipes of a few updates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.faults import planted
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments.diagnose import diagnose_recipe
from mtctl.diagnosis.report import Diagnosis
from mtctl.diagnosis.thresholds import FEWEST_UPDATES
from mtctl.errors import MtctlError
from tests.diagnosis.experiments.small_recipes import small

PLENTY = ("training.epochs=14", "training.batch_size=8")
"""56 updates: enough to be examined."""
MISSING = {"kind": "missing_targets", "task": "ptr"}


def diagnosed(*overrides: str, fault: dict[str, Any] | None = None, **settings: Any) -> Diagnosis:
    recipe = small(*overrides)
    given = {"seeds": (0,), "verify": False, **settings}
    return diagnose_recipe(recipe if fault is None else planted(recipe, fault), **given)


def codes(diagnosis: Diagnosis) -> list[tuple[str, str | None]]:
    return [(one.code, one.task) for one in diagnosis.findings]


def test_a_few_updates_are_called_few_and_nothing_else() -> None:
    found = diagnosed()
    assert found.subject.updates == 4 < FEWEST_UPDATES
    assert {code for code, _ in codes(found)} == {Code.BUDGET_TOO_SMALL}
    assert {one.severity for one in found.findings} == {"warning"}
    assert found.experiments == ()


def test_a_task_without_targets_is_named_and_the_others_are_examined() -> None:
    found = diagnosed(*PLENTY, fault=MISSING)
    assert codes(found)[0] == (Code.BAD_TARGETS, "ptr")
    assert [state.task for state in found.states] == ["type", "binary", "countdown"]
    assert all(state.steps is not None for state in found.states if state.task != "type")
    assert ("causes of ptr", "not_run") in [(check.name, check.outcome) for check in found.checks]


def test_a_recipe_whose_only_task_has_no_targets_is_not_examined() -> None:
    found = diagnosed("problem.tasks=[ptr]", fault=MISSING)
    assert codes(found) == [(Code.BAD_TARGETS, "ptr")]
    assert found.experiments == ()


def test_nothing_is_tried_on_a_trunk_that_does_not_move() -> None:
    found = diagnosed(*PLENTY, fault={"kind": "frozen_trunk"})
    assert codes(found) == [(Code.FROZEN_TRUNK, None)]
    assert found.experiments == ()


def test_a_wiring_fault_is_named_whatever_it_costs_and_explains_enough() -> None:
    found = diagnosed(*PLENTY, fault={"kind": "not_in_optimizer", "task": "binary"})
    assert next(state for state in found.states if state.task == "binary").state == "learns"
    assert [code for code, task in codes(found) if task == "binary"] == [Code.NOT_IN_OPTIMIZER]


def test_errors_come_first() -> None:
    found = diagnosed(fault={"kind": "not_in_optimizer", "task": "countdown"})
    ranks = [["error", "warning", "info"].index(one.severity) for one in found.findings]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 2


def test_a_diagnosis_is_the_same_again() -> None:
    first, again = diagnosed(*PLENTY), diagnosed(*PLENTY)
    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)


def test_no_experiment_begins_once_the_time_is_up() -> None:
    found = diagnosed(*PLENTY, fault={"kind": "shuffled_targets", "task": "type"}, seconds=0.0)
    assert found.experiments == ()
    assert ("experiments", "not_run") in [(check.name, check.outcome) for check in found.checks]


def test_a_task_that_there_is_not_is_refused() -> None:
    with pytest.raises(MtctlError, match="small has no such task") as caught:
        diagnosed("problem.tasks=[type, ptr]", task="countdown")
    assert "type, ptr" in str(caught.value.hint)


def test_time_that_runs_out_in_a_training_ends_it_at_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("mtctl.diagnosis.experiments.diagnose.time.monotonic", lambda: float(next(clock)))
    found = diagnosed("training.epochs=50", seconds=20.0)
    (rest,) = [check for check in found.checks if check.name == "the rest of the budget"]
    assert rest.outcome == "not_run"
    assert 0 < (found.subject.updates or 0) < 100


def test_the_documented_explanation_is_tested_where_its_symptom_is_present() -> None:
    documented = (
        "balancer={kind: running_mean, base_weights: {type: 0.1, ptr: 0.7, binary: 0.1, countdown: 0.1}}",
        "model.standardise=[]",
        "training.lr=3e-3",
        "training.epochs=15",
    )
    found = diagnosed(*documented)
    assert found.symptom is not None
    assert found.symptom.present
    (bias,) = [one for one in found.findings if one.code == Code.REDUCTION_BIAS]
    assert (bias.task, bias.severity, bias.confidence) == ("countdown", "info", "measured")
    assert bias.summary.startswith("refuted: ")
    assert not [one for one in diagnosed().findings if one.code == Code.REDUCTION_BIAS]
