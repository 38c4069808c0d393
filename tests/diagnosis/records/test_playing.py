"""Rules on played episodes: returns, successes, exploration, experience and weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.report import Diagnosis
from mtctl.problems.kinds import KINDS
from mtctl.problems.score import Score
from tests.diagnosis.records.histories import codes, diagnosed, episodes, subject

LANDER = ("standard", "heavy")
EPISODES = 60


def returns(first: float, last: float, sd: float = 60.0) -> list[float]:
    """Return noisy returns of 60 episodes; the noise is the same in every call."""
    noise = sd * np.random.default_rng(0).normal(size=EPISODES)
    return list(np.linspace(first, last, EPISODES) + noise)


LEARNING, LEVEL = returns(-200, 250), returns(-150, -150)


def diagnose(second: list[float], signals: Any = None, task: str = "heavy", **options: Any) -> Diagnosis:
    """Return the diagnosis of a run in which `standard` learns."""
    records = episodes({"standard": LEARNING, task: second}, signals, **options)
    return diagnosed(records, subject(("standard", task), "lander"))


def test_a_run_that_learns_has_no_finding() -> None:
    diagnosis = diagnose(LEARNING)
    assert codes(diagnosis) == []
    assert diagnosis.symptom is None
    assert [state.state for state in diagnosis.states] == ["learns", "learns"]
    assert diagnosis.states[0].change > 1
    assert {check.outcome for check in diagnosis.checks} == {"passed", "not_run"}


@pytest.mark.parametrize(
    ("second", "state", "found"),
    [
        (LEVEL, "flat", [(Code.FLAT_TASK, "heavy")]),
        (returns(-100, -300), "flat", [(Code.FLAT_TASK, "heavy")]),
        (returns(-200, -50), "slow", [(Code.SLOW, "heavy")]),
        (returns(240, 240, 5), "at_floor", []),
        (LEVEL[:0], "unknown", []),
    ],
)
def test_states_follow_returns(second: list[float], state: str, found: list[tuple[str, str]]) -> None:
    records = [
        each
        for each in episodes({"standard": LEARNING, "heavy": second or LEVEL})
        if second or "standard" in each["tasks"]
    ]
    diagnosis = diagnosed(records, subject(LANDER, "lander"))
    assert (diagnosis.states[1].state, codes(diagnosis)) == (state, found)


def test_noise_is_not_learning() -> None:
    rng, called = np.random.default_rng(1), []
    for _ in range(60):
        noise = list(-150 + 100 * rng.normal(size=EPISODES))
        called.append(diagnose(noise).states[1].state)
    assert called.count("flat") >= 57


def test_a_flat_task_is_no_error_while_actions_are_still_random() -> None:
    early, late = (diagnose(LEVEL, epsilon=epsilon) for epsilon in (0.6, 0.01))
    assert codes(early) == [(Code.FLAT_TASK, "heavy"), (Code.BUDGET_TOO_SMALL, None)]
    assert {finding.severity for finding in early.findings} == {"warning"}
    assert [finding.severity for finding in late.findings] == ["error"]


def test_a_run_without_updates_never_learned() -> None:
    diagnosis = diagnose(LEVEL, updates=0)
    assert codes(diagnosis) == [(Code.REPLAY_STARVATION, None)]
    assert diagnosis.findings[0].confidence == "certain"
    assert {state.state for state in diagnosis.states} == {"unknown"}


@pytest.mark.parametrize(
    "signals",
    [
        {"heavy": {"replay_rows": 0.0}},
        {"heavy": {"update_share": 0.02}, "standard": {"update_share": 0.98}},
    ],
)
def test_a_task_without_experience_is_starved(signals: Any) -> None:
    assert codes(diagnose(LEVEL, signals)) == [(Code.REPLAY_STARVATION, "heavy")]


def test_updates_of_one_task_at_a_time_starve_nobody() -> None:
    assert codes(diagnose(LEARNING, one_at_a_time=True)) == []


def test_a_collapsed_weight_accounts_for_a_flat_task() -> None:
    weights = {"heavy": {"weight": list(np.geomspace(1, 1e-4, EPISODES))}}
    found = diagnose(LEVEL, weights)
    assert codes(found) == [(Code.WEIGHTS_COLLAPSED, "heavy")]
    assert found.findings[0].severity == "error"
    assert codes(diagnose(LEVEL, {"heavy": {"weight": 0.3}})) == [(Code.FLAT_TASK, "heavy")]


def test_hull_noise_puts_landing_out_of_reach_by_its_rules() -> None:
    found = diagnose([min(value, 150.0) for value in LEARNING], task="windy_hull_noise")
    assert codes(found) == [(Code.SUCCESS_OUT_OF_REACH, "windy_hull_noise")]
    assert (found.findings[0].severity, found.findings[0].confidence) == ("warning", "certain")


def test_a_success_that_never_comes_beside_others_that_do() -> None:
    lander, hovering = returns(-200, 400) * 2, [min(value, 150.0) for value in LEARNING] * 2
    records = episodes({"standard": lander, "heavy": hovering}, outcome={"heavy": "timed_out"})
    assert codes(diagnosed(records, subject(LANDER, "lander"))) == [(Code.SUCCESS_OUT_OF_REACH, "heavy")]
    crashing = episodes({"standard": hovering, "heavy": hovering})
    assert codes(diagnosed(crashing, subject(LANDER, "lander"))) == []


def test_a_game_without_a_threshold_of_success(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = replace(KINDS["lander"], score=Score("return", higher_is_better=True, success=None))
    monkeypatch.setitem(KINDS, "lander", endless)
    records = episodes({"standard": LEARNING, "heavy": LEVEL})
    found = diagnosed(records, subject(LANDER, "lander"))
    assert [state.state for state in found.states] == ["learns", "flat"]
    assert all("success_rate_last_fifth" not in state.measures for state in found.states)
    assert codes(found) == [(Code.FLAT_TASK, "heavy")]
    assert "success within reach" in {check.name for check in found.checks if check.outcome == "not_run"}


def test_a_value_function_that_diverges_is_the_cause_of_flat_returns() -> None:
    for last, expected in ((1e7, [(Code.DIVERGED, "heavy")]), (50.0, [(Code.FLAT_TASK, "heavy")])):
        records = episodes({"standard": LEARNING, "heavy": LEVEL})
        for place, record in enumerate(records):
            record["signals"]["loss"]["heavy"] = 0.5 * (last / 0.5) ** (place / len(records))
        assert codes(diagnosed(records, subject(LANDER, "lander"))) == expected
