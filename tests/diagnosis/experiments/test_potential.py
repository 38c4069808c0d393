"""What keeps a task that learns below what it can reach, on skills that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import causes, potential
from mtctl.diagnosis.report import Finding
from tests.diagnosis.experiments.scripted import Scripted
from tests.diagnosis.experiments.small_recipes import course, small

STALLS = [0.0, *[0.2] * 13]
ALL = "all aids combined"


def laboratory(skills: dict[str, float], **settings: Any) -> Scripted:
    recipe = small("training.optimizer=adamw", "training.weight_decay=0.1", "model.dropout=0.2")
    settings = {"without": ["all aids but unit", "all aids but rate"], **settings}
    return Scripted(course(recipe, ptr=STALLS), skills=skills, **settings)


@pytest.mark.parametrize(
    ("helps", "code", "cure"),
    [
        ("without dropout", Code.REGULARISATION, {"model.dropout": 0.0, "model.head_dropout": 0.0}),
        ("without weight decay", Code.REGULARISATION, {"training.weight_decay": 0.0}),
        ("patiently", Code.SLOW, {}),
        (
            "with 20 times the learning rate of its own head",
            Code.LEARNING_RATE,
            {"training.head_lr": {"ptr": 20.0}},
        ),
        ("with 0.1 times the learning rate", Code.LEARNING_RATE, {"training.lr": pytest.approx(1e-3)}),
        ("nothing", Code.BELOW_POTENTIAL, {}),
    ],
)
def test_the_change_that_closes_half_of_the_gap_names_the_cause(
    helps: str, code: Code, cure: dict[str, Any]
) -> None:
    (found,) = potential.below_potential(laboratory({ALL: 0.8, helps: 0.6}), "ptr")
    assert (found.code, found.confidence) == (code, "measured")
    assert found.severity == ("info" if code == Code.SLOW else "warning")
    assert found.cure == cure
    assert "20 %" in found.summary and "80 %" in found.summary


def test_half_of_the_gap_is_needed() -> None:
    (found,) = potential.below_potential(laboratory({ALL: 0.8, "without dropout": 0.45}), "ptr")
    assert found.code == Code.BELOW_POTENTIAL


def test_a_single_aid_that_is_needed_names_the_cause() -> None:
    (found,) = potential.below_potential(laboratory({ALL: 0.8}, without=["all aids but rate"]), "ptr")
    assert found.code == Code.LEARNING_RATE


def test_a_task_at_its_ceiling_is_left_alone_unless_the_network_is_too_small() -> None:
    assert potential.below_potential(laboratory({ALL: 0.3}, heart=0.1), "ptr") == []
    (small_network,) = potential.below_potential(laboratory({ALL: 0.3}, heart=0.6), "ptr")
    assert (small_network.code, small_network.confidence) == (Code.CAPACITY, "likely")


def test_labels_of_other_rows_are_found_by_the_skill_with_them() -> None:
    (found,) = potential.below_potential(laboratory({ALL: 0.25, "row -1": 0.7}), "ptr")
    assert (found.code, found.cure) == (Code.SHIFTED_LABELS, {"problem.target_shift": {"ptr": -1}})
    (stuck,) = causes.decide(Scripted(course(ptr=[0.0] * 14), skills={"row +2": 0.7}), "ptr")
    assert (stuck.code, stuck.severity) == (Code.SHIFTED_LABELS, "error")


def test_a_forecast_is_easier_with_all_earlier_targets_which_is_no_fault() -> None:
    series = laboratory({ALL: 0.25, "row -1": 0.9, "row -2": 0.8})
    assert potential.below_potential(series, "ptr") == []


def test_few_updates_are_too_few() -> None:
    (found,) = potential.below_potential(laboratory({ALL: 0.8}, budget=20), "ptr")
    assert (found.code, found.confidence) == (Code.BUDGET_TOO_SMALL, "likely")


def test_a_task_of_high_skill_is_not_trained_any_further() -> None:
    good = Scripted(course(ptr=[0.0, *[0.7] * 13]), skills={ALL: 1.0})
    assert potential.below_potential(good, "ptr") == []
    assert good.asked == []


@pytest.mark.parametrize("code", [Code.INTERFERENCE, Code.CONFLICT])
def test_a_measured_cause_takes_the_place_of_one_that_is_not(code: Code) -> None:
    unknown = [Finding(code, "ptr", "error", "measured", "")]
    (found,) = potential.instead_of_unknown(laboratory({ALL: 0.8, "without dropout": 0.7}), "ptr", unknown)
    assert (found.code, found.severity) == (Code.REGULARISATION, "error")
    assert potential.instead_of_unknown(laboratory({ALL: 0.8}), "ptr", unknown) == unknown
    known = [Finding(Code.MULTIPLIER_DOMINANCE, "ptr", "error", "measured", "")]
    helped = laboratory({ALL: 0.8, "without dropout": 0.7})
    assert potential.instead_of_unknown(helped, "ptr", known) == known
