"""Targets that are none of a task's classes: said with value, row and batch, or left alone."""

from __future__ import annotations

from typing import Any

import pytest

from mtctl.engine.fit import Diverged
from mtctl.engine.scores import evaluate
from mtctl.errors import MtctlError
from mtctl.problems.python.problem import OwnModel
from mtctl.problems.supervised.problem import BadTargets
from tests.problems.python.test_facts import problem, recipe
from tests.problems.python.test_problem import Trained


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (3, "count classes from 0 to 2, or give the head an output for each class, 4 or more"),
        (255, "count classes from 0 to 2, or give the head an output for each class, 256 or more"),
        (-1, "`ignore_index=-1`, or say which rows have one: mtctl.Task(…, mask=…)"),
    ],
)
def test_a_training_names_the_target_that_is_no_class(number: int, remedy: str) -> None:
    with pytest.raises(Diverged) as caught:
        Trained(recipe("wrong_class", number=number)).train()
    # Training batches are shuffled: the row is the one of its batch.
    text = (
        rf"^epoch 1, step \d: task `a` has target {number} in row \d of its batch, which is none of its 3 cl"
    )
    assert caught.match(text)
    assert str(caught.value.hint).endswith(remedy)
    assert caught.value.facts["task"] == "a"
    assert str(caught.value.facts["found"]).startswith(f"target {number} in row")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_step_is_the_one_that_has_it(accumulate: int) -> None:
    found = Trained(recipe("wrong_class", number=7).revised({"training.accumulate": accumulate}))
    with pytest.raises(Diverged):
        found.train()
    parts = found.problem.batch.parts
    assert sum(int((part.batch[1] == 7).sum()) for part in parts) == 1


@pytest.mark.parametrize(("where", "split"), [("validation", "monitor"), ("held_out", "held_out")])
def test_an_evaluation_names_it(where: str, split: Any) -> None:
    found = problem("wrong_class", number=3, where=where)
    with pytest.raises(Diverged, match=f"target 3 in row 5 of batch 2 of `{where}`, which is none of its 3"):
        evaluate(found, None, split)
    other: Any = "held_out" if split == "monitor" else "monitor"
    assert len(evaluate(found, None, other)["a"].scores) == 24


@pytest.mark.parametrize("where", ["train", "validation", "held_out"])
@pytest.mark.parametrize(("number", "mask"), [(-100, False), (7, True)])
def test_rows_that_the_loss_or_the_mask_leaves_out_are_trained_without(
    number: int, mask: bool, where: str
) -> None:
    trained = Trained(recipe("wrong_class", number=number, mask=mask, where=where)).train()
    for split in ("monitor", "held_out"):
        evaluate(trained.problem, None, split)
    assert trained.problem.budget()["updates"] == 6


def test_builds_of_the_same_data_know_alike_what_is_wrong() -> None:
    first, second = (problem("wrong_class", number=5).bad_targets("a") for _ in range(2))
    assert first == second == BadTargets(1, 24)
    assert problem("wrong_class", number=5).objectives["a"].reduction == "mean"


def test_losses_of_one_s_own_fail_with_the_place_and_a_remedy() -> None:
    with pytest.raises(MtctlError, match=r"Target 3 is out of bounds") as caught:
        Trained(recipe("wrong_class", number=3, quick=True)).train()
    assert "models.py" in caught.value.message and "in losses" in caught.value.message
    assert "`ignore_index=`" in str(caught.value.hint)


def test_a_loss_that_is_not_finite_for_other_reasons_is_told_as_before() -> None:
    found = OwnModel(recipe("plain").revised({"training.lr_factor": 1e30}), 0)
    assert found.cause("a", "monitor") is None
    with pytest.raises(Diverged, match=r"^diverged in epoch"):
        Trained(recipe("plain").revised({"training.lr_factor": 1e30})).train()
