from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.faults import planted
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import wiring
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.thresholds import IGNORED
from mtctl.problems.supervised.answers import Answers
from mtctl.problems.windows.problem import Windows, build
from tests.diagnosis.experiments.small_recipes import small


def problem(*overrides: str, fault: dict[str, Any] | None = None) -> Windows:
    recipe = small(*overrides)
    return build(recipe if fault is None else planted(recipe, fault), 0)


@pytest.mark.parametrize(
    ("fault", "code", "task"),
    [
        ({"kind": "missing_targets", "task": "type"}, Code.BAD_TARGETS, "type"),
        ({"kind": "missing_targets", "task": "ptr"}, Code.BAD_TARGETS, "ptr"),
        ({"kind": "missing_targets", "task": "countdown", "fraction": 1.0}, Code.BAD_TARGETS, "countdown"),
        ({"kind": "constant_targets", "task": "type"}, Code.BAD_TARGETS, "type"),
        ({"kind": "constant_targets", "task": "binary"}, Code.BAD_TARGETS, "binary"),
        ({"kind": "not_in_optimizer", "task": "ptr"}, Code.NOT_IN_OPTIMIZER, "ptr"),
        ({"kind": "frozen_trunk"}, Code.FROZEN_TRUNK, None),
        ({"kind": "detached", "task": "type"}, Code.DETACHED_TASK, "type"),
        ({"kind": "detached", "task": "countdown"}, Code.DETACHED_TASK, "countdown"),
        ({"kind": "reversed_gradient", "task": "ptr"}, Code.WRONG_GRADIENT, "ptr"),
        ({"kind": "reversed_gradient", "task": "countdown"}, Code.WRONG_GRADIENT, "countdown"),
        ({"kind": "dead_head", "task": "ptr"}, Code.DEAD_HEAD, "ptr"),
        ({"kind": "saturated_head", "bias": 20.0}, Code.DEAD_HEAD, "binary"),
    ],
)
def test_a_wiring_fault_is_found_and_nothing_else(fault: dict[str, Any], code: str, task: str | None) -> None:
    findings, checks = wiring.examine(problem(fault=fault))
    assert [(one.code, one.task, one.severity, one.confidence) for one in findings] == [
        (code, task, "error", "certain")
    ]
    assert [check.detail for check in checks if check.outcome == "found"] == [task or "trunk"]
    assert len(checks) == 4


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.standardise=[]",),
        ("problem.tasks=[ptr]",),
        ("model.countdown=scalar",),
        ("training.loss_factor={ptr: 0.001}",),
    ],
)
def test_what_is_wired_well_passes(overrides: tuple[str, ...]) -> None:
    findings, checks = wiring.examine(problem(*overrides))
    assert findings == []
    assert {check.outcome for check in checks} == {"passed"}


@pytest.mark.parametrize(
    "fault",
    [{"kind": "contradiction", "task": "ptr", "by": "type"}, {"kind": "shuffled_targets", "task": "type"}],
)
def test_faults_of_other_kinds_are_not_for_the_wiring(fault: dict[str, Any]) -> None:
    findings, checks = wiring.examine(problem(fault=fault))
    assert findings == []
    assert {check.outcome for check in checks} == {"passed"}


def test_a_target_outside_what_its_loss_takes_is_bad() -> None:
    spoiled = problem()
    training = spoiled.splits.training
    masks = training.targets["binary"].clone()  # problems of one process share their data
    masks[3, 7] = 20.0
    spoiled.splits = replace(
        spoiled.splits, training=replace(training, targets={**training.targets, "binary": masks})
    )
    (found,) = wiring.examine(spoiled)[0]
    assert (found.code, found.task, found.evidence[0].value) == (Code.BAD_TARGETS, "binary", 1)


# ----- who looks at the inputs


def test_a_trained_task_looks_at_its_inputs() -> None:
    course = Course(small(), 0, watched=False).run(20)
    assert wiring.ignores_input(course.problem.answers("monitor"), "binary") > 0.1


def test_a_head_that_answers_always_the_same_does_not() -> None:
    untrained = problem()
    with torch.no_grad():
        for parameter in untrained.head("binary"):
            parameter.zero_()
    assert wiring.ignores_input(untrained.answers("monitor"), "binary") == 0.0


def test_a_loss_below_zero_tells_too_that_inputs_matter() -> None:
    """As of a density, whose logarithm may have any sign."""
    targets = torch.arange(40.0)
    negative = Answers(
        [({"value": targets}, None)], lambda _, raw, __: (raw["value"] - targets).square() - 1e3
    )
    assert wiring.ignores_input(negative, "value") > IGNORED


@pytest.mark.parametrize("seed", range(3))
def test_a_countdown_of_other_windows_is_learned_by_position_only(seed: int) -> None:
    clean = small("problem.tasks=[countdown]", "training.lr=0.02")
    recipe = planted(clean, {"kind": "shuffled_targets", "task": "countdown"})
    course = Course(recipe, seed).run(25)
    assert course.points["countdown"][-1].skill > 0.1
    assert wiring.ignores_input(course.problem.answers("monitor"), "countdown") < IGNORED


def test_hardly_any_windows_are_no_reason_to_doubt() -> None:
    tiny = problem("problem.data.validation=4")
    assert wiring.ignores_input(tiny.answers("monitor"), "ptr") != 0.0
