"""The gallery's models of one's own: each can be built, and what is certain is named at once."""

from __future__ import annotations

import pytest

from benchmarks.gallery import call, part_of
from benchmarks.gallery_cases import CERTAIN, WHOLE_RUN
from benchmarks.own_gallery.cases import CASES, OwnCase
from benchmarks.own_gallery.further_cases import FURTHER_CASES
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import wiring
from mtctl.diagnosis.experiments.course import supervised

AT_ONCE = [
    case
    for case in CASES
    if case.model != "tokens" and any(set(causes) <= CERTAIN for causes in case.planted.values())
]


def case(name: str) -> OwnCase:
    return next(one for one in CASES if one.name == name)


def test_there_are_enough_cases_of_enough_kinds() -> None:
    faults = [one for one in CASES if one.planted]
    assert len(faults) >= 12
    assert len({one.name for one in CASES}) == len(CASES)
    codes = {causes[0] for one in faults for causes in one.planted.values()}
    assert len(codes) >= 8
    assert {one.model for one in faults} >= {"two_digits", "tabular", "tokens", "own_loaders"}
    assert {part_of(one) for one in CASES} == {"own"}


def test_further_cases_have_halves_and_every_kind_in_both() -> None:
    assert len({one.name for one in (*CASES, *FURTHER_CASES)}) == len(CASES) + len(FURTHER_CASES)
    for half in ("thresholds", "held_out"):
        some = [one for one in FURTHER_CASES if part_of(one) == half]
        codes = {code for one in some for causes in one.planted.values() for code in causes}
        assert codes >= {
            Code.NOISY_LABELS,
            Code.SHIFTED_LABELS,
            Code.REGULARISATION,
            Code.CAPACITY,
            Code.BALANCER_SETTINGS,
            Code.WRONG_GRADIENT,
            Code.FROZEN_TRUNK,
            Code.LEARNING_RATE,
        }
        assert sum(not one.planted for one in some) >= 3


@pytest.mark.parametrize("one", FURTHER_CASES, ids=lambda one: one.name)
def test_a_further_case_is_another_training_than_its_control(one: OwnCase) -> None:
    if one.planted:
        assert one.recipe != one.control_recipe
    assert set(one.planted) <= {*one.recipe.problem.tasks, WHOLE_RUN}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("one", AT_ONCE, ids=lambda one: one.name)
def test_what_is_certain_is_found_before_any_training(one: OwnCase) -> None:
    findings, _ = wiring.examine(supervised(one.recipe, 0))
    for task, causes in one.planted.items():
        named = [found.code for found in findings if found.task == (None if task == WHOLE_RUN else task)]
        assert named and named[0] in causes


def test_a_call_compares_a_plant_with_its_control() -> None:
    (found,) = call(case("table, 9 updates"), 0)
    assert found.right
    assert found.harm == "stopped"
    assert found.first == Code.BUDGET_TOO_SMALL
    assert found.tau[1] is not None


def test_a_healthy_model_gives_no_error() -> None:
    (found,) = call(case("table"), 0)
    assert found.harm == "control"
    assert found.right
