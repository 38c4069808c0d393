from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.faults import planted
from mtctl.diagnosis.experiments.course import Course
from mtctl.problems.supervised.interventions import RAW, Only
from tests.diagnosis.experiments.small_recipes import course, small


def test_a_course_goes_on_as_if_it_had_never_stopped() -> None:
    whole = Course(small(), 1).run(3)
    parts = Course(small(), 1).run(1).run(3)
    assert parts.points == whole.points
    assert parts.updates == whole.updates == 6
    assert [point.updates for point in whole.points["type"]] == [0, 1, 2, 3, 4, 5, 6]


def test_long_epochs_are_looked_into() -> None:
    long = ("training.epochs=1", "training.batch_size=2")
    looked = Course(small(*long), 0).run(2)
    assert [point.updates for point in looked.points["ptr"]] == [
        0,
        3,
        6,
        9,
        12,
        15,
        16,
        19,
        22,
        25,
        28,
        31,
        32,
    ]
    assert Course(small(*long), 0, watched=False).run(2).records == looked.records


def test_a_course_stops_when_it_is_enough() -> None:
    stopped = Course(small(), 0).run(5, lambda one: one.updates >= 4)
    assert stopped.updates == 4


def test_courses_of_variations_share_the_start() -> None:
    joint = Course(small(), 2)
    alone = Course(small().revised(small().changes(Only(("ptr",)), RAW)), 2)
    assert alone.points["ptr"] == joint.points["ptr"]
    assert set(alone.points) == {"ptr"}


def test_a_loss_that_is_not_finite_ends_a_course() -> None:
    broken = Course(planted(small(), {"kind": "missing_targets", "task": "ptr", "fraction": 1.0}), 0).run(2)
    assert broken.diverged is not None
    assert broken.diverged.task == "ptr"
    assert broken.run(4).updates == 0


@pytest.mark.parametrize(
    ("skills", "steps"),
    [
        ([0.0, 0.05, 0.08], None),
        ([0.0, 0.05, 0.25], 12.5),
        ([0.0, 0.2], 5.0),
        ([0.0, 0.12, 0.05, 0.12, 0.16], 20 + 10 * 0.05 / 0.07),
        ([0.0, 0.12], None),
        ([0.5, 0.6], 0.0),
        ([-3.0, -1.0, 0.2], 10 + 10 * 1.1 / 1.2),
    ],
)
def test_steps_are_interpolated_and_a_single_look_is_noise(skills: list[float], steps: float | None) -> None:
    found = course(ptr=skills).steps("ptr")
    assert found == (None if steps is None else pytest.approx(steps))


def test_a_look_that_chance_explains_is_not_where_learning_began() -> None:
    found = course(ptr=[-1.0, 0.15, 0.3, 0.3])
    found.points["ptr"][1] = replace(found.points["ptr"][1], error=0.2)
    assert found.steps("ptr") == 20.0


def test_a_single_dip_at_the_end_is_not_what_a_task_has_settled_at() -> None:
    dips = course(ptr=[0.0, 0.6, 0.7, 0.8, 0.1])
    assert dips.settled("ptr") == 0.7
    assert dips.settled("ptr", 30) == 0.8
    assert dips.best("ptr") == 0.7
    assert course(ptr=[0.0, 0.1, 0.2, 0.3]).settled("ptr") == 0.3


def test_a_spike_is_one_of_the_training_loss() -> None:
    by_heart = course(type=[0.0, -5.0])
    assert not by_heart.spiked("type")
    by_heart.records[0]["signals"]["relative_loss"]["type"] = 2.1
    assert by_heart.spiked("type")
    far_away = course(ptr=[-3.0, -3.5])
    far_away.records[0]["signals"]["relative_loss"]["ptr"] = 4.5
    assert not far_away.spiked("ptr")


def test_signals_are_means_over_the_epochs_that_have_them() -> None:
    watched = course(ptr=[0.0, 0.1, 0.2])
    first, second = (record["signals"] for record in watched.records)
    first["reach"]["ptr"], second["reach"]["ptr"] = 2.0, 4.0
    assert watched.signal("reach", "ptr") == 3.0
    second["reach"]["ptr"] = None
    assert watched.signal("reach", "ptr") == 2.0
    assert watched.signal("own_update", "ptr") is None
    first["cosine"]["ptr|binary"] = -0.5
    assert watched.cosine("binary", "ptr") == watched.cosine("ptr", "binary") == -0.25
    assert watched.relatives("ptr") == [1.0, 1.0]


def test_the_last_point_within_a_budget() -> None:
    watched = course(ptr=[0.0, 0.1, 0.2])
    assert watched.at("ptr", 15).skill == 0.1
    assert watched.at("ptr", 20).skill == 0.2
