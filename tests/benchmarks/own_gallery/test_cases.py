"""The gallery's models of one's own: each can be built, and what is certain is named at once."""

from __future__ import annotations

import pytest

from benchmarks.gallery import call, part_of
from benchmarks.gallery_cases import CERTAIN, WHOLE_RUN
from benchmarks.own_gallery.cases import CASES, OwnCase
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
