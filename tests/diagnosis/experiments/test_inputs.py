from __future__ import annotations

import pytest

from benchmarks.faults import planted
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import inputs
from mtctl.diagnosis.experiments.course import Course
from tests.diagnosis.experiments.small_recipes import course, small


@pytest.fixture(scope="module")
def shuffled() -> Course:
    """A countdown of other windows, beside a task that learns."""
    return Course(
        planted(
            small("problem.tasks=[binary, countdown]", "training.epochs=25"),
            {"kind": "shuffled_targets", "task": "countdown"},
        ),
        0,
    ).run(25)


def test_a_task_that_looks_at_its_inputs_is_left_alone(shuffled: Course) -> None:
    assert inputs.examine(shuffled, "binary", 50, 25) is None


def test_a_task_that_goes_by_position_is_accused_once_patience_is_over(shuffled: Course) -> None:
    found = inputs.examine(shuffled, "countdown", 50, 30)
    assert found is not None
    assert (found.code, found.task, found.severity) == (Code.IGNORES_INPUT, "countdown", "error")
    assert shuffled.updates == 60


def test_a_task_that_has_not_learned_is_not_asked() -> None:
    assert inputs.examine(course(ptr=[0.0, 0.05]), "ptr", 10, 1) is None
