"""The decision, on speed-ups that are made up; and the laboratory that measures them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.faults import planted
from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.experiments import causes
from mtctl.diagnosis.experiments.course import Course
from mtctl.diagnosis.experiments.laboratory import Laboratory, OutOfTime
from mtctl.diagnosis.report import Finding
from mtctl.problems.windows.recipe import WindowsRecipe
from tests.diagnosis.experiments.scripted import Scripted
from tests.diagnosis.experiments.small_recipes import course, small

FLAT = [0.0] * 14
LEARNS = [0.0, 0.5, *[0.6] * 12]
RAW = "model.standardise=[]"


def laboratory(
    speedups: dict[str, float] | None = None, ptr: Sequence[float] = FLAT, **settings: Any
) -> Scripted:
    return Scripted(course(small(RAW), ptr=ptr, binary=LEARNS), speedups or {}, **settings)


def still(joint: Course) -> Course:
    """Return a course that does not go on."""
    joint.problem.units, joint.problem.done = 0, 10**6
    return joint


def codes(findings: Sequence[Finding]) -> list[str]:
    return [finding.code for finding in findings]


@pytest.mark.parametrize(
    ("speedups", "expected"),
    [
        (
            {"alone": 5, "alone and standardised": 6, "with equal gradient shares": 3},
            [Code.MULTIPLIER_DOMINANCE],
        ),
        ({"alone": 5, "alone and standardised": 6}, [Code.INTERFERENCE]),
        ({"standardised": 5, "alone and standardised": 6}, [Code.TARGET_OUT_OF_REACH]),
        (
            {
                "standardised": 3,
                "alone": 8,
                "alone and standardised": 20,
                "with equal gradient shares": 4,
            },
            [Code.MULTIPLIER_DOMINANCE, Code.TARGET_OUT_OF_REACH],
        ),
        (
            {
                "standardised": 8,
                "alone": 3,
                "alone and standardised": 20,
                "with equal gradient shares": 4,
            },
            [Code.TARGET_OUT_OF_REACH, Code.MULTIPLIER_DOMINANCE],
        ),
        (
            {"alone and standardised": 4, "with equal gradient shares, standardised": 4},
            [Code.MULTIPLIER_DOMINANCE, Code.TARGET_OUT_OF_REACH],
        ),
        ({"alone and standardised": 3}, [Code.UNLEARNABLE]),
        ({"alone, learning rate × 10": 7}, [Code.LEARNING_RATE]),
        ({"alone, learning rate × 10": 3}, [Code.BUDGET_TOO_SMALL]),
        ({"alone, learning rate × 3": 3}, [Code.BUDGET_TOO_SMALL]),
        ({"alone, learning rate × 100": 3}, [Code.LEARNING_RATE]),
        ({"alone, learning rate × 0.3": 3}, [Code.LEARNING_RATE]),
        ({"alone, learning rate × 0.03": 3}, [Code.LEARNING_RATE]),
        ({}, [Code.UNLEARNABLE]),
    ],
)
def test_speed_ups_decide(speedups: dict[str, float], expected: list[str]) -> None:
    found = causes.decide(laboratory(speedups), "ptr")
    assert codes(found) == expected
    severity = "warning" if expected == [Code.BUDGET_TOO_SMALL] else "error"
    assert all((one.task, one.severity, one.confidence) == ("ptr", severity, "measured") for one in found)
    assert all(one.evidence for one in found)


def test_a_head_that_learns_nothing_by_heart_is_dead() -> None:
    assert codes(causes.decide(laboratory(heart=0.95), "ptr")) == [Code.DEAD_HEAD]


def test_a_head_that_learns_some_by_heart_lacks_capacity() -> None:
    (found,) = causes.decide(laboratory(heart=0.7), "ptr")
    assert (found.code, found.confidence) == (Code.CAPACITY, "likely")


@pytest.mark.parametrize(
    ("without", "expected", "cure"),
    [
        (["all aids but dropout"], Code.REGULARISATION, {"model.dropout": 0.0, "model.head_dropout": 0.0}),
        (
            ["all aids but rate", "all aids, its own optimizer without decay"],
            Code.LEARNING_RATE,
            {"training.optimizer": "adam"},
        ),
        (["all aids but rate"], Code.REGULARISATION, {"training.weight_decay": 0.0}),
        (["all aids but unit"], Code.TARGET_OUT_OF_REACH, {"model.standardise": ["ptr"]}),
        (["all aids but solitude"], Code.MULTIPLIER_DOMINANCE, {}),
        ([], Code.BUDGET_TOO_SMALL, {}),
    ],
)
def test_the_aid_that_a_task_needs_names_the_cause(
    without: list[str], expected: str, cure: dict[str, Any]
) -> None:
    (found,) = causes.decide(laboratory(patience=30.0, without=without), "ptr")
    assert found.code == expected
    assert found.cure.items() >= cure.items()


# ----- tasks that learn, and would learn more alone


def test_a_task_far_below_what_it_reaches_alone_is_held_back() -> None:
    learning = [0.0, *[0.3] * 13]
    held = laboratory(ptr=learning, skills={"alone": 0.7, "with equal gradient shares": 0.6})
    (found,) = causes.below_alone(held, "ptr")
    assert (found.code, found.severity) == (Code.MULTIPLIER_DOMINANCE, "warning")
    assert "70 %" in found.summary
    late = laboratory(ptr=learning, skills={"alone": 0.7, "patiently": 0.55})
    assert causes.below_alone(late, "ptr") == []
    for record in late.joint.records:
        record["signals"]["gradient_share"]["ptr"] = 0.001
    assert codes(causes.below_alone(late, "ptr")) == [Code.MULTIPLIER_DOMINANCE]
    assert causes.below_alone(laboratory(ptr=learning, skills={"alone": 0.4}), "ptr") == []
    assert causes.below_alone(laboratory(ptr=[0.0, *[0.8] * 13], skills={"alone": 0.97}), "ptr") == []


def test_the_usual_rate_is_tried_where_the_recipe_is_far_from_it() -> None:
    slow = Scripted(course(small("training.lr=1e-7"), ptr=FLAT))
    assert slow.rates((30.0, 0.1)) == [30.0, 0.1, pytest.approx(1e4)]
    assert Scripted(course(small(), ptr=FLAT)).rates((30.0, 0.01)) == [30.0, 0.01]
    sgd = Scripted(course(small("training.optimizer=sgd", "training.lr=1e-5"), ptr=FLAT))
    assert sgd.rates((100.0,))[-1] == pytest.approx(1e4)


def test_a_common_cause_is_told_for_a_task_that_is_asked_for_alone() -> None:
    lost = Scripted(course(small(), ptr=FLAT), {"learning rate × 30": 6.0})
    assert codes(causes.decide(lost, "binary")) == [Code.LEARNING_RATE]
    assert causes.decide(lost, "ptr") == []


def test_gradients_that_point_apart_are_a_conflict_whatever_the_shares() -> None:
    given = {"alone": 5.0, "alone and standardised": 5.0, "with equal gradient shares": 9.0}
    opposed = laboratory(given)
    for record in opposed.joint.records:
        record["signals"]["cosine"]["ptr|binary"] = -0.8
    (found,) = causes.decide(opposed, "ptr")
    assert found.code == Code.CONFLICT
    assert "binary" in found.summary
    assert "with equal gradient shares" not in opposed.asked


def test_a_task_that_learns_in_four_budgets_and_is_helped_by_nothing_needs_updates() -> None:
    patient = laboratory(ptr=[0.0] * 10 + [0.3] * 4)
    assert codes(causes.decide(patient, "ptr")) == [Code.BUDGET_TOO_SMALL]


@pytest.mark.parametrize(("factor", "word"), [(1e-3, "low"), (50.0, "high")])
def test_a_head_whose_rate_is_far_from_the_trunks_gets_the_trunks_first(factor: float, word: str) -> None:
    recipe = small(f"training.head_lr={{ptr: {factor}}}")
    helped = Scripted(course(recipe, ptr=FLAT, binary=LEARNS), {f"head × {1 / factor:g} learning rate": 6.0})
    assert helped.head_rate("ptr") == pytest.approx(factor)
    (found,) = causes.decide(helped, "ptr")
    assert (found.code, found.cure) == (Code.LEARNING_RATE, {"training.head_lr": {"ptr": pytest.approx(1.0)}})
    assert f"too {word}" in found.summary
    assert "alone" not in helped.asked
    other = Scripted(course(recipe, ptr=FLAT, binary=LEARNS), {"alone": 5.0, "alone and standardised": 5.0})
    assert codes(causes.decide(other, "ptr")) == [Code.INTERFERENCE]


def test_hardly_any_updates_tell_nothing_else() -> None:
    few = laboratory({"alone": 9.0}, budget=20)
    (found,) = causes.decide(few, "ptr")
    assert (found.code, found.confidence) == (Code.BUDGET_TOO_SMALL, "likely")
    assert few.asked == []


def test_a_task_that_gets_worse_is_tried_at_a_lower_rate_first() -> None:
    unstable = laboratory({"learning rate × 0.1": 4.0, "alone": 4.0})
    unstable.joint.records[1]["signals"]["relative_loss"]["ptr"] = 1.6
    assert codes(causes.decide(unstable, "ptr")) == [Code.LEARNING_RATE]
    calm = laboratory({"learning rate × 0.1": 4.0})
    assert codes(causes.decide(calm, "ptr")) == [Code.UNLEARNABLE]


def test_a_rate_with_which_no_task_learns_is_found_once_for_all() -> None:
    lost = Scripted(course(small(), ptr=FLAT), {"learning rate × 30": 6.0})
    first, *others = [causes.decide(lost, task) for task in lost.joint.problem.tasks]
    assert [(one.code, one.task) for one in first] == [(Code.LEARNING_RATE, None)]
    assert others == [[], [], []]
    assert "alone" not in lost.asked


def test_where_no_task_learns_for_its_unit_the_rate_is_not_to_blame() -> None:
    raw = Scripted(
        course(small(RAW), ptr=FLAT),
        {"all heads standardised": 4.0, "learning rate × 30": 6.0, "standardised": 4.0},
    )
    assert codes(causes.decide(raw, "ptr")) == [Code.TARGET_OUT_OF_REACH]


def test_a_task_without_company_is_not_dominated() -> None:
    single = Scripted(course(small("problem.tasks=[ptr]", RAW), ptr=FLAT), {"standardised": 4.0})
    assert codes(causes.decide(single, "ptr")) == [Code.TARGET_OUT_OF_REACH]
    assert "alone" not in single.asked


# ----- who is examined


def test_tasks_are_stuck_late_or_neither() -> None:
    watched = laboratory(ptr=[0.0, 0.0, 0.0, 0.15, 0.2, *[0.3] * 9])
    watched.joint.points["type"] = course(type=[0.0] * 5 + [0.3] * 9).points["type"]
    assert causes.suspects(watched, ("type", "ptr", "binary", "countdown")) == (
        ["countdown"],
        ["type", "ptr"],
    )


def test_what_costs_a_late_task_something_is_a_warning() -> None:
    late = [0.0, 0.0, 0.0, 0.15, 0.2, *[0.3] * 9]
    (found,) = causes.held_back(laboratory({"standardised": 3.0}, ptr=late), "ptr")
    assert (found.code, found.severity) == (Code.TARGET_OUT_OF_REACH, "warning")
    assert causes.held_back(laboratory(ptr=late), "ptr") == []


def test_a_task_that_is_there_soon_after_the_budget_is_slow() -> None:
    (found,) = causes.held_back(laboratory(ptr=[0.0] * 5 + [0.3] * 9), "ptr")
    assert (found.code, found.severity) == (Code.SLOW, "info")
    (few,) = causes.held_back(laboratory(ptr=[0.0, 0.0, 0.0, *[0.3] * 11], budget=20), "ptr")
    assert few.code == Code.BUDGET_TOO_SMALL


LOST = [0.0, 0.3, 0.2, 0.0, -0.2, *[-0.3] * 9]


def test_what_is_lost_while_the_training_loss_falls_was_learned_by_heart() -> None:
    lost = laboratory(ptr=LOST)
    still(lost.joint).records[-1]["signals"]["relative_loss"]["ptr"] = 0.3
    (found,) = causes.held_back(lost, "ptr")
    assert (found.code, found.severity) == (Code.OVERFITTING, "warning")


@pytest.mark.parametrize(
    ("speedups", "code"),
    [
        ({"learning rate × 0.1": 3.0}, Code.LEARNING_RATE),
        ({"alone": 3.0, "alone and standardised": 3.0}, Code.INTERFERENCE),
    ],
)
def test_what_is_lost_on_all_windows_has_a_cause(speedups: dict[str, float], code: str) -> None:
    lost = laboratory(speedups, ptr=LOST)
    still(lost.joint)
    (found,) = causes.held_back(lost, "ptr")
    assert (found.code, found.severity) == (code, "error")
    assert lost.as_is("ptr") == lost.joint.updates


def test_a_dip_at_the_end_of_the_budget_is_nothing() -> None:
    dips = laboratory(ptr=[0.0, 0.3, 0.3, 0.3, -0.2, *[0.3] * 9])
    still(dips.joint)
    assert causes.held_back(dips, "ptr") == []


# ----- the laboratory


def real(recipe: WindowsRecipe, deadline: float | None = None) -> Laboratory:
    joint = Course(recipe, 0).run(recipe.training.epochs)
    return Laboratory(recipe, 0, joint, deadline, lambda _: None)


def test_an_experiment_is_made_once_and_one_that_changes_nothing_never() -> None:
    found = real(small())
    assert found.standardised("ptr") == 1.0
    assert found.experiments == []
    assert found.alone("ptr") == found.alone("ptr")
    (experiment,) = found.experiments
    assert (experiment.name, experiment.task, experiment.watched) == ("ptr alone", "ptr", 2)


def test_sgd_gets_the_multiplier_of_the_others() -> None:
    recipe = small(
        "training.optimizer=sgd",
        "training.lr=0.1",
        "balancer={kind: manual, weights: {type: 0.003, ptr: 4.0, binary: 2.0, countdown: 1.0}}",
    )
    alone = recipe.revised(recipe.changes(*real(recipe).without_others("type")))
    assert alone.training.lr == pytest.approx(0.2)
    adam = small("balancer={kind: manual, weights: {type: 0.003, ptr: 4.0, binary: 2.0, countdown: 1.0}}")
    assert adam.revised(adam.changes(*real(adam).without_others("type"))).training.lr == adam.training.lr


def test_no_run_starts_after_the_deadline() -> None:
    late = real(small(RAW), time.monotonic())
    for experiment in (late.alone, late.standardised, late.by_heart):
        with pytest.raises(OutOfTime):
            experiment("ptr")
    with pytest.raises(OutOfTime):
        late.watch(["ptr"])


def test_a_few_windows_are_learned_by_heart_at_any_learning_rate() -> None:
    alive = real(small("training.lr=1e-6")).by_heart("binary")
    assert alive is not None and alive < 0.5
    dead = real(planted(small(), {"kind": "dead_head", "task": "ptr"}))
    left = dead.by_heart("ptr")
    assert left is not None and left > 0.5
