"""Rules on signals of gradients, weights and heads: each fires on its fault alone."""

from __future__ import annotations

from typing import Any

import pytest

from mtctl.diagnosis.codes import Code
from tests.diagnosis.records.histories import FALLING, LEVEL, codes, diagnosed, epochs, subject

Signals = dict[str, Any]
BOTH = {"a": FALLING, "b": LEVEL}
BEHIND = {"relative_loss": 1.0}


def found(signals: Signals, **options: Any) -> list[tuple[str, str | None]]:
    """Return the findings where `a` learns and `b` is flat with these signals."""
    return codes(diagnosed(epochs(BOTH, {"b": {**BEHIND, **signals}}, **options), subject()))


def test_a_healthy_history_has_no_finding() -> None:
    diagnosis = diagnosed(epochs({"a": FALLING, "b": FALLING}, cosine=[0.1] * 6), subject())
    assert codes(diagnosis) == []
    assert [state.state for state in diagnosis.states] == ["learns", "learns"]
    outcomes = {check.outcome for check in diagnosis.checks if "training" not in check.detail}
    assert outcomes <= {"passed", "not_run"}


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ({}, Code.FLAT_TASK),
        ({"gradient_norm": 0.0, "gradient_share": 0.0}, Code.DETACHED_TASK),
        ({"own_update": 0.0}, Code.NOT_IN_OPTIMIZER),
        ({"own_gradient_norm": 0.0, "own_update": 0.0}, Code.DEAD_HEAD),
        ({"dead_units": 1.0}, Code.DEAD_HEAD),
        ({"relative_loss": 50.0, "own_gradient_norm": 1e-3}, Code.DEAD_HEAD),
        ({"reach": 44.0}, Code.TARGET_OUT_OF_REACH),
        ({"reach": (44.0, 30.0, 10.0, 4.0, 3.0, 2.0)}, Code.TARGET_OUT_OF_REACH),
        ({"own_weight": 0.006, "gradient_share": 0.001}, Code.MULTIPLIER_DOMINANCE),
        ({"gradient_norm": 0.001, "gradient_share": 0.001}, Code.MULTIPLIER_DOMINANCE),
    ],
)
def test_a_fault_of_a_flat_task_is_named(signals: Signals, code: str) -> None:
    assert found(signals) == [(code, "b")]


def test_both_causes_of_the_documented_case_are_named() -> None:
    both = {"own_weight": 0.006, "gradient_share": 0.001, "reach": 44.0}
    assert found(both) == [(Code.TARGET_OUT_OF_REACH, "b"), (Code.MULTIPLIER_DOMINANCE, "b")]


@pytest.mark.parametrize(
    "signals",
    [
        {"own_weight": 0.002, "gradient_share": 0.001},
        {"reach": 44.0},
        {"relative_loss": 0.1, "own_gradient_norm": 1e-3},
    ],
)
def test_the_same_signals_are_no_fault_of_a_task_that_learns(signals: Signals) -> None:
    records = epochs({"a": FALLING, "b": FALLING}, {"b": signals})
    assert codes(diagnosed(records, subject())) == []


@pytest.mark.parametrize("signals", [{"gradient_norm": 0.0}, {"own_update": 0.0}])
def test_wrong_wiring_is_reported_of_a_task_that_learns_too(signals: Signals) -> None:
    diagnosis = diagnosed(epochs({"a": FALLING, "b": FALLING}, {"b": signals}), subject())
    assert [(each.task, each.severity, each.confidence) for each in diagnosis.findings] == [
        ("b", "error", "certain")
    ]


def test_a_head_that_rests_in_one_epoch_is_in_the_optimizer() -> None:
    assert found({"own_update": (0.0, 0.01, 0.01, 0.01, 0.01, 0.01)}) == [(Code.FLAT_TASK, "b")]


def test_signals_that_are_missing_are_said_to_be() -> None:
    names = ("gradient_norm", "gradient_share", "own_gradient_norm", "own_update", "reach", "dead_units")
    nothing = dict.fromkeys(names)
    diagnosis = diagnosed(epochs(BOTH, {"a": nothing, "b": {**nothing, **BEHIND}}), subject())
    assert codes(diagnosis) == [(Code.FLAT_TASK, "b")]
    not_run = {check.name for check in diagnosis.checks if check.outcome == "not_run"}
    assert {"gradients reach trunk and heads", "heads move", "live heads", "targets in reach"} < not_run
    assert {"shares of the gradient", "conflicting gradients"} < not_run


def test_conflict_is_a_mean_beyond_noise_of_a_flat_task() -> None:
    opposed = [-0.6, -0.5, -0.7, -0.6, -0.5, -0.6]
    assert found({}, cosine=opposed) == [(Code.CONFLICT, "b")]
    assert found({}, cosine=[-0.9, 0.6, -0.8, 0.3, -0.7, -0.5]) == [(Code.FLAT_TASK, "b")]
    assert found({}, cosine=[-0.05] * 6) == [(Code.FLAT_TASK, "b")]
    healthy = epochs({"a": FALLING, "b": FALLING}, cosine=opposed)
    assert codes(diagnosed(healthy, subject())) == []


def test_four_records_of_opposed_gradients_are_enough() -> None:
    losses = {"a": FALLING[:4], "b": (1.0, 1.0, 1.0, 1.0)}
    for cosine, expected in (
        ([-0.72, -0.9, -1.0, -0.85], Code.CONFLICT),
        ([-0.9, 0.5, -0.8, -0.4], Code.FLAT_TASK),
    ):
        diagnosis = diagnosed(epochs(losses, {"b": BEHIND}, cosine=cosine), subject())
        assert codes(diagnosis) == [(expected, "b")]


def test_a_weight_of_0_is_the_cause_whatever_else_is_measured() -> None:
    nothing = {"own_weight": 0.0, "gradient_share": 0.0, "reach": 44.0}
    assert found(nothing) == [(Code.MULTIPLIER_DOMINANCE, "b")]
    learning = diagnosed(epochs({"a": FALLING, "b": FALLING}, {"b": nothing}), subject())
    assert [(each.code, each.severity) for each in learning.findings] == [
        (Code.MULTIPLIER_DOMINANCE, "warning")
    ]


def test_a_task_that_was_trained_before_is_no_error() -> None:
    """Its loss is level and its gradient small; the loss of the best constant is not known."""
    signals = {"relative_loss": None, "gradient_norm": 0.001, "gradient_share": 0.001}
    diagnosis = diagnosed(epochs(BOTH, {"b": signals}), subject())
    assert [(each.code, each.severity) for each in diagnosis.findings] == [
        (Code.MULTIPLIER_DOMINANCE, "warning")
    ]
    level = diagnosed(epochs(BOTH, {"b": {"relative_loss": None}}), subject())
    assert [(each.code, each.severity) for each in level.findings] == [(Code.FLAT_TASK, "warning")]


def test_a_loss_that_fell_and_rises_again_is_judged_from_its_lowest_point() -> None:
    losses = {"a": (*FALLING, 0.45, 0.4), "b": (1.0, 0.6, 0.4, 0.3, 0.5, 0.7, 0.8, 0.95)}
    diagnosis = diagnosed(epochs(losses, {"b": BEHIND}), subject())
    assert codes(diagnosis) == [(Code.RISING_LOSS, "b")]
    assert [state.state for state in diagnosis.states] == ["learns", "rising"]


def test_a_rate_at_which_nothing_moves_is_nobodys_alone() -> None:
    far = {"reach": 300.0, "relative_loss": 1.0}
    records = epochs({"a": LEVEL, "b": LEVEL}, {"a": far, "b": far})
    diagnosis = diagnosed(records, subject())
    assert codes(diagnosis) == [(Code.LEARNING_RATE, None)]
    outcomes = {check.name: check.outcome for check in diagnosis.checks}
    assert outcomes["targets in reach"] == outcomes["every loss falls"] == "not_run", "explained already"
    slowly = {"a": LEVEL, "b": (1.0, 0.99, 0.98, 0.97, 0.96, 0.95)}
    assert codes(diagnosed(epochs(slowly, {"a": far, "b": far}), subject())) == [(Code.LEARNING_RATE, None)]


def test_a_rate_that_throws_losses_about() -> None:
    assert found({"relative_loss": 60.0}) == [(Code.LEARNING_RATE, None)]


def test_a_weight_that_fell_is_collapsed_and_one_that_is_small_from_the_first_is_not() -> None:
    fell = {"weight": (1.0, 0.1, 0.01, 0.002, 0.001, 0.0005)}
    assert found(fell) == [(Code.WEIGHTS_COLLAPSED, "b")]
    assert found({"weight": 0.0005}) == [(Code.FLAT_TASK, "b")]
    assert found({"weight": (1.0, 0.5, 0.3, 0.2, 0.3, 0.4)}) == [(Code.FLAT_TASK, "b")]
    floor = {"weight": (1.0, 0.3, 0.051, 0.05, 0.05, 0.05)}
    assert found(floor) == [(Code.WEIGHTS_COLLAPSED, "b")]
