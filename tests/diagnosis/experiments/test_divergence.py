from __future__ import annotations

from benchmarks.faults import planted
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import divergence
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.thresholds import DIVERGED_RATES
from tests.diagnosis.experiments.small_recipes import course, small


def silent(_: str) -> None:
    pass


def test_a_calm_run_has_not_diverged() -> None:
    assert divergence.diverged(course(ptr=[0.0, -3.0])) is None


def test_of_several_tasks_the_one_that_did_not_recover_is_named() -> None:
    spiked = course(ptr=[0.0, 0.5], type=[0.0, -0.5])
    for task in ("ptr", "type"):
        spiked.records[0]["signals"]["relative_loss"][task] = 3.0
    assert divergence.diverged(spiked) == "type"


def test_a_lower_rate_that_trains_says_that_the_rate_was_too_high() -> None:
    recipe = small("training.lr=3.0", "training.epochs=20")
    joint = Course(recipe, 0).run(20)
    task = divergence.diverged(joint)
    assert task is not None
    found = divergence.examine(recipe, joint, task, silent)
    assert found is not None
    assert (found.code, found.task, found.severity) == (Code.LEARNING_RATE, task, "error")


def test_a_high_loss_at_any_rate_is_not_for_the_rate() -> None:
    recipe = planted(small("training.epochs=20"), {"kind": "contradiction", "task": "ptr", "by": "type"})
    joint = Course(recipe, 0).run(20)
    task = divergence.diverged(joint)
    assert task in ("ptr", "type")
    assert divergence.examine(recipe, joint, task, silent) is None


def test_a_loss_that_is_never_finite_diverges_at_any_rate() -> None:
    recipe = planted(small(), {"kind": "missing_targets", "task": "ptr", "fraction": 1.0})
    joint = Course(recipe, 0).run(2)
    found = divergence.examine(recipe, joint, "ptr", silent)
    assert found is not None
    assert (found.code, found.severity) == (Code.DIVERGED, "error")
    assert len(found.evidence) == 2 * len(DIVERGED_RATES)  # of all, then of the task's head
