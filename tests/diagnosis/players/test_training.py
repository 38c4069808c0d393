from __future__ import annotations

import time

import pytest

from mtctl.diagnosis.codes import Code
from mtctl.diagnosis.players.scale import scale_of
from mtctl.diagnosis.players.training import Order, Played, play
from mtctl.problems.playing import Reference
from mtctl.recipes.loading import load

TINY = load(
    "hybrid_fixed",
    ["problem.copies=8", "agent.steps=16", "agent.minibatch=64", "problem.environment_steps=1280"],
)


def test_a_training_is_scored_before_and_after_and_keeps_its_records_if_asked() -> None:
    played = play(Order(TINY, 0, episodes=5, records=True))
    assert (played.done, played.complete, played.failure) == (10, True, "")
    assert played.updates == 80
    assert played.environment_steps == 1280
    assert set(played.returns) == set(played.untrained) == {"moving"}
    assert len(played.records) == 10
    assert played.course["moving"][-1][0] <= 1280
    assert play(Order(TINY, 0, episodes=5)).returns == played.returns


def test_after_the_deadline_a_training_ends_with_its_unit_and_has_no_score() -> None:
    played = play(Order(TINY, 0, episodes=5, deadline=time.monotonic() - 1))
    assert (played.done, played.complete, played.returns) == (1, False, {})


def test_a_training_that_diverges_is_a_finding() -> None:
    played = play(Order(load("windows_raw", ["training.lr=1e30", "training.epochs=2"]), 0))
    assert [each.code for each in played.findings] == [Code.DIVERGED]
    assert played.failure


def test_steps_to_a_value_are_those_of_a_mean_over_ten_returns() -> None:
    course = tuple((100 * place, 1.0 if place == 3 or place > 20 else 0.0) for place in range(1, 41))
    played = Played(40, 1, 4000, complete=True, course={"a": course})
    assert played.steps_to("a", 0.5) == 2500
    assert played.steps_to("a", 2.0) is None
    assert played.steps_to("b", 0.0) is None


def test_skill_is_the_part_of_the_way_from_random_play() -> None:
    scale = scale_of(["a"], {"a": Reference(-100.0, 300.0)}, [])
    assert scale.skill("a", 100.0) == pytest.approx(0.5)
    assert scale.tenth("a") == pytest.approx(-60.0)
    assert scale.measured == ()


def test_without_a_reference_the_best_training_is_one() -> None:
    trainings = [
        Played(1, 1, 1, complete=True, returns={"a": value}, untrained={"a": 2.0}) for value in (4.0, 10.0)
    ]
    scale = scale_of(["a"], {}, [*trainings, Played(1, 1, 1, complete=False)])
    assert scale.references["a"] == Reference(2.0, 10.0)
    assert scale.measured == ("a",)
