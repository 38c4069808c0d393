"""The gallery's rules, and a small part of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.gallery import Call, call, call_policy, confusion, costs, line, rates, warnings_on_healthy
from benchmarks.gallery_cases import CASES, WHOLE_RUN, Case, cases, half_of
from benchmarks.policy_cases import CASES as POLICY_CASES
from mtctl.diagnosis.codes import Code

GOOD = Call(
    case="x",
    half="held_out",
    seed=0,
    task="type",
    planted=(Code.UNLEARNABLE,),
    harm="stopped",
    tau=(None, 30.0),
    named=(Code.UNLEARNABLE, Code.SLOW),
    errors=(Code.UNLEARNABLE,),
    warnings=(),
    bystanders=(),
    seconds=1.0,
)


def case(name: str) -> Case:
    return next(one for one in CASES if one.name == name)


def test_there_are_enough_cases_and_every_cause_in_both_halves() -> None:
    faults = [one for one in CASES if one.planted]
    assert len(faults) >= 15
    assert len(CASES) - len(faults) >= 8
    assert len({one.name for one in CASES}) == len(CASES)
    planted = {
        half: {cause for one in cases(half) for causes in one.planted.values() for cause in causes}
        for half in ("thresholds", "held_out")
    }
    assert planted["thresholds"] | {Code.DIVERGED} == planted["held_out"] | {Code.DIVERGED}
    assert planted["held_out"] <= set(Code)


def test_every_case_is_a_recipe_with_its_tasks() -> None:
    for one in CASES:
        assert one.recipe != one.control_recipe or not one.planted
        assert set(one.planted) <= {*one.recipe.problem.tasks, WHOLE_RUN}


def test_the_halves_share_no_case() -> None:
    halves = [cases("thresholds"), cases("held_out")]
    assert sorted(one.name for half in halves for one in half) == sorted(one.name for one in CASES)
    assert {half_of(one) for one in halves[0]} == {"thresholds"}


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({}, True),
        ({"named": (Code.SLOW, Code.UNLEARNABLE)}, False),
        ({"named": ()}, False),
        ({"harm": "harmless"}, False),
        ({"harm": "harmless", "errors": ()}, True),
        ({"harm": "control", "planted": (), "named": (Code.SLOW,), "errors": ()}, True),
        ({"planted": (Code.CONFLICT, Code.UNLEARNABLE)}, True),
    ],
)
def test_what_counts_as_right(changes: dict[str, object], right: bool) -> None:
    one = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert one.right is right
    assert line(one).startswith("✗") is not right


def test_tables_count_first_names_and_alarms() -> None:
    alarm = replace(GOOD, harm="control", planted=(), task=None)
    table = confusion([GOOD, GOOD, replace(GOOD, named=(Code.CONFLICT,)), alarm])
    assert [list(column.cells) for column in table.columns] == [
        [Code.UNLEARNABLE, "nothing"],
        ["3", "1"],
        ["unlearnable 2, conflict 1", "unlearnable 1"],
    ]
    columns = rates([GOOD, replace(GOOD, harm="certain", named=()), alarm]).columns
    assert [list(column.cells) for column in columns] == [
        ["held_out", "… those that are not certain"],
        ["1 of 2", "1 of 1"],
        ["50%", "100%"],
        ["missed", "met"],
        ["1 of 1", ""],
        ["missed", ""],
    ]


def test_costs_add_up_by_diagnosis() -> None:
    two = [replace(GOOD, case="y", seconds=2.0, memory=300.0), replace(GOOD, case="y", seconds=3.0)]
    text = costs([GOOD, *two, replace(GOOD, case="z", seconds=9.0, memory=500.0)])
    assert "5 s in the median, 9 s at most" in text
    assert "400 MiB in the median, 500 MiB at most" in text


def test_a_warning_on_a_control_is_counted() -> None:
    control = replace(GOOD, harm="control", planted=(), task=None, errors=(), named=())
    warned = replace(control, warnings=(Code.CONFLICT,))
    assert warnings_on_healthy([GOOD, control, warned]) == "warnings on healthy: 1 of 2"


@pytest.mark.learning
@pytest.mark.parametrize("name", ["saturated sigmoid", "as it is"])
def test_a_part_of_the_gallery_is_called_rightly(name: str) -> None:
    for one in call(case(name), 0):
        assert one.right, line(one)
        assert one.is_fault is bool(one.planted)


def test_policies_have_every_cause_that_their_records_show_and_healthy_runs() -> None:
    assert len({one.name for one in POLICY_CASES}) == len(POLICY_CASES)
    assert sum(not one.planted for one in POLICY_CASES) >= 4
    assert {cause for one in POLICY_CASES for cause in one.planted} >= {
        Code.CLIP_BINDS,
        Code.ENTROPY_COLLAPSED,
        Code.HEAD_STARVED,
        Code.POLICY_JUMPS,
        Code.RATIO_NOT_ONE,
        Code.UNUSED_PARAMETER,
    }
    for one in POLICY_CASES:
        assert one.recipe.units >= 20


def test_a_policy_is_trained_and_diagnosed() -> None:
    locked = next(one for one in POLICY_CASES if one.planted == (Code.UNUSED_PARAMETER,))
    brief = replace(locked, overrides=(*locked.overrides, "agent.steps=8", "problem.environment_steps=5632"))
    (found,) = call_policy(brief, 0)
    assert found.right
    assert found.first == Code.UNUSED_PARAMETER
    assert found.errors == ()
