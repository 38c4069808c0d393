"""The examples of models of one's own: what mtctl finds out about them, and that every task learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtctl.diagnosis.experiments import wiring
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.thresholds import LEARNED
from mtctl.problems.python.problem import OwnModel
from mtctl.problems.python.recipe import PythonRecipe
from mtctl.problems.python.tasks import complete

EXAMPLES = Path(__file__).parents[2] / "examples"
NEVER = 10**9


def recipe(example: str, epochs: int, **arguments: Any) -> PythonRecipe:
    told = {
        "name": example,
        "problem": {
            "kind": "python",
            "build": f"{EXAMPLES / example}.py:build",
            "arguments": arguments,
        },
        "training": {"epochs": epochs, "device": "cpu"},
        "balancer": {"kind": "equal"},
    }
    return complete(PythonRecipe.model_validate(told))


@pytest.mark.parametrize(
    ("example", "epochs", "arguments"),
    [
        ("two_digits", 3, {}),
        ("tabular", 5, {}),
        ("tokens", 1, {}),
        ("own_loaders", 5, {}),
        ("own_loaders", 10, {"together": True}),
    ],
)
def test_every_task_of_an_example_learns(example: str, epochs: int, arguments: dict[str, Any]) -> None:
    course = Course(recipe(example, epochs, **arguments), 0, NEVER, watched=False).run(epochs)
    for task, found in course.problem.evaluate(None, "monitor").items():
        assert sum(found.scores) / len(found.scores) > 100 * LEARNED, task


@pytest.mark.parametrize("example", ["two_digits", "tabular", "tokens", "own_loaders"])
def test_an_example_is_wired_rightly(example: str) -> None:
    problem = OwnModel(recipe(example, 1), 0)
    findings, checks = wiring.examine(problem)
    assert not findings
    assert {check.outcome for check in checks} == {"passed"}
    # Each task has a head of its own, and all that is left is shared.
    own = sum(parameter.numel() for task in problem.tasks for parameter in problem.head(task))
    shared = sum(parameter.numel() for parameter in problem.trunk())
    assert own and shared
    assert own + shared == sum(parameter.numel() for parameter in problem.model.parameters())


def test_a_table_in_its_own_units_is_out_of_reach() -> None:
    raw, standardised = (
        Course(recipe("tabular", 3, raw=raw), 0, NEVER, watched=False).run(3) for raw in (True, False)
    )
    reach = raw.signal("reach", "area"), standardised.signal("reach", "area")
    assert reach[0] and reach[1]
    assert reach[0] > 100 * reach[1]


@pytest.mark.parametrize(("together", "updates"), [(False, 75), (True, 25)])
def test_batches_of_tasks_with_data_of_their_own(together: bool, updates: int) -> None:
    problem = OwnModel(recipe("own_loaders", 1, together=together), 0)
    assert problem.updates_per_epoch == updates
    problem.advance()
    active = problem.gradients().active.tolist()
    assert active == ([True] * 3 if together else [True, False, False])


def test_an_example_is_short() -> None:
    for file in ("two_digits", "tabular", "tokens", "own_loaders"):
        assert len((EXAMPLES / f"{file}.py").read_text(encoding="utf-8").splitlines()) <= 80
