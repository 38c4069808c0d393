"""Rules on loss curves: each fires on its fault, and not on a healthy curve."""

from __future__ import annotations

import numpy as np
import pytest

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.records.held_out import overfitting
from mtctl.diagnosis.records.losses import (
    diverged,
    gaps,
    stuck,
    symptom,
    task_state,
    too_few_updates,
    zeros,
)
from mtctl.diagnosis.records.trade_offs import trade_offs
from mtctl.diagnosis.records.trends import Values
from tests.diagnosis.records.histories import FALLING, LEVEL, codes

FALL, STAY = np.array(FALLING), np.array(LEVEL)
SLOW: Values = 1 - 0.02 * np.arange(6, dtype=np.float64)


@pytest.mark.parametrize(
    ("values", "skill", "state"),
    [
        (FALL, None, "learns"),
        (FALL, 0.4, "learns"),
        (FALL, 0.05, "slow"),
        (SLOW, None, "slow"),
        (STAY, None, "flat"),
        (STAY, 0.05, "flat"),
        (STAY, 0.3, "learns"),
        (STAY, 0.8, "at_floor"),
        (1 + 0.1 * np.arange(6), None, "rising"),
        (np.array([2, 1, 0.5, 0.4, 0.9, 1.2, 1.3, 1.5]), None, "rising"),
        (np.array([2, 1, 0.5, 0.4, 0.5, 0.6, 0.5, 0.6]), None, "learns"),
        (np.zeros(6), None, "unknown"),
        (np.array([1.0, 0.5, 0.1, 0, 0, 0]), None, "learns"),
        (np.array([1.0, 0.8, np.nan, 0.5, 0.4]), None, "learns"),
        (1 + 3 * np.arange(6.0), None, "diverged"),
        (np.array([1.0, 0.9, np.nan]), None, "diverged"),
        (np.array([np.inf]), None, "diverged"),
        (np.array([1.0]), None, "unknown"),
        (np.array([]), None, "unknown"),
    ],
)
def test_states(values: Values, skill: float | None, state: str) -> None:
    assert task_state("a", values, skill=skill).state == state


def test_a_loss_below_the_constants_has_not_diverged() -> None:
    rising = 0.1 * (1 + np.arange(6.0) ** 2)
    assert task_state("a", rising).state == "diverged"
    assert task_state("a", rising, constant=1.0).state == "rising"


def test_the_documented_check() -> None:
    states = [task_state("a", FALL), task_state("b", STAY), task_state("c", SLOW)]
    found = symptom(states, 30)
    assert (found.present, found.flat, found.improving, found.updates) == (True, ("b",), ("a",), 30)
    assert not symptom(states[1:], 30).present
    assert not symptom(states[:1], 30).present


def test_divergence_is_told_from_a_value_that_is_not_finite() -> None:
    curves = {"a": FALL, "b": 1 + 3 * np.arange(6.0), "c": np.array([1.0, 0.5, np.nan])}
    found = diverged([task_state(task, values) for task, values in curves.items()], curves, "possible")
    assert codes(found.findings) == [(Code.DIVERGED, "b"), (Code.DIVERGED, "c")]
    assert [finding.confidence for finding in found.findings] == ["possible", "certain"]


def test_tasks_that_are_stuck() -> None:
    states = [
        task_state("a", FALL),
        task_state("b", STAY),
        task_state("c", FALL, skill=0.02),
        task_state("d", STAY, skill=0.9),
    ]
    found = stuck(states, "error", "likely", "no signal explains it")
    assert codes(found.findings) == [(Code.FLAT_TASK, "b"), (Code.SLOW, "c"), (Code.AT_NOISE_FLOOR, "d")]
    assert [finding.severity for finding in found.findings] == ["warning", "warning", "info"]
    assert stuck([task_state("b", STAY, skill=0.02)], "error", "likely", "").findings[0].severity == "error"
    assert stuck(states[:1], "error", "likely", "").check.outcome == "passed"


def test_few_updates_matter_only_to_tasks_that_are_behind() -> None:
    behind, ahead = task_state("b", STAY), task_state("a", FALL)
    assert codes(too_few_updates([ahead, behind], 30).findings) == [(Code.BUDGET_TOO_SMALL, None)]
    assert not too_few_updates([ahead, behind], 300).findings
    assert not too_few_updates([ahead], 30).findings


def test_overfitting_is_a_rise_from_the_lowest_held_out_loss() -> None:
    rises = np.array([1.0, 0.8, 0.7, 0.75, 0.9, 1.1, 1.2])
    assert codes(overfitting({"a": (FALL, rises)}, "likely").findings) == [(Code.OVERFITTING, "a")]
    for healthy in (np.array(FALLING), np.array([1.0, 0.8, 0.7, 0.72, 0.71, 0.73]), rises[:4]):
        assert not overfitting({"a": (FALL, healthy)}, "likely").findings
    assert not overfitting({"a": (STAY, rises)}, "likely").findings
    assert overfitting({"a": (FALL, rises[:3])}, "likely").check.outcome == "not_run"
    assert overfitting({}, "likely").check.outcome == "not_run"


def test_a_trade_off_is_a_loss_that_rises_whenever_another_falls() -> None:
    see, saw = 1 + 0.2 * np.sin(np.arange(60)), 1 - 0.2 * np.sin(np.arange(60))
    falls, rises = np.linspace(1, 0.4, 60), np.linspace(1, 1.5, 60)
    for other, own in ((see, saw), (falls, rises)):
        curves = {"a": other, "b": own}
        states = [task_state(task, values) for task, values in curves.items()]
        assert (Code.CONFLICT, "b") in codes(trade_offs(states, curves).findings)
    rng = np.random.default_rng(0)
    for _ in range(50):
        curves = {"a": falls, "b": 1 + 0.1 * rng.standard_normal(60)}
        states = [task_state(task, values) for task, values in curves.items()]
        assert not trade_offs(states, curves).findings
    assert trade_offs(states[:1], {"a": falls}).check.outcome == "not_run"


def test_losses_of_exactly_zero_and_gaps_are_pointed_out() -> None:
    curves = {"a": np.zeros(6), "b": FALL, "c": np.array([1.0, np.nan, 0.5])}
    states = [task_state(task, values) for task, values in curves.items()]
    assert codes(zeros(states, curves).findings) == [(Code.BAD_TARGETS, "a")]
    assert codes(gaps(states, curves).findings) == [(Code.BAD_TARGETS, "c")]


def test_a_held_out_loss_that_never_falls_is_memorising_unless_it_is_low() -> None:
    falls = np.linspace(2, 0.2, 30)
    noise = 0.01 * np.random.default_rng(0).standard_normal(30)
    assert codes(overfitting({"a": (falls, 2.1 + noise)}, "possible").findings) == [(Code.OVERFITTING, "a")]
    assert not overfitting({"a": (falls, 0.3 + noise)}, "possible").findings
    assert not overfitting({"a": (1.5 + noise, 2.1 + noise)}, "possible").findings
