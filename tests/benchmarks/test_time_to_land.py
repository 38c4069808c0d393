"""Both sides of the race are trained and timed alike; who wins is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.sides import TASKS
from benchmarks.time_to_land import PEER, Course, Size, ThreeTasks, Watch, ratios, table
from mtctl.problems.lander import environments

ROOT = Path(__file__).parents[2]


def course(side: str, averages: list[float], seed: int = 0) -> Course:
    places = range(1, len(averages) + 1)
    return Course(side, seed, [10.0 * place for place in places], [100 * place for place in places], averages)


@pytest.mark.parametrize(
    ("averages", "place"),
    [
        ([210, 210, 210], 0),
        ([0, 210, 190, 200, 200, 200, 0], 3),
        ([210, 210], None),
        ([0, 210, 210, 199.9, 210, 210], None),
    ],
)
def test_a_side_has_landed_where_three_evaluations_in_a_row_are_high(
    averages: list[float], place: int | None
) -> None:
    found = course("mtctl", averages)
    assert found.arrival() == place
    assert found.time_to_land == 10.0 * (len(averages) if place is None else place + 1)


def test_the_ratio_is_a_bound_where_the_peer_never_landed_and_0_where_mtctl_did_not() -> None:
    landed, lost = [210.0] * 3, [0.0] * 6
    courses = [
        *(course("mtctl", landed), course(PEER, [0.0, *landed])),
        *(course("mtctl", landed, 1), course(PEER, lost, 1)),
        *(course("mtctl", lost, 2), course(PEER, landed, 2)),
    ]
    assert ratios(courses) == [2.0, 6.0, 0.0]
    cells = [list(column.cells) for column in table(courses).columns]
    assert cells[-1] == ["2.0 ×", "≥ 6.0 ×", "–"]
    assert cells[1][2] == "not in 60 s (best 0)"


def test_a_watch_evaluates_now_and_then_and_ends_a_side_that_has_landed() -> None:
    watch = Watch("mtctl", 0, Size(episodes=100, every=2))
    ended = [watch.episode_ended(episode, 7 * episode, lambda task: 250.0) for episode in range(1, 7)]
    assert ended == [False, False, False, False, False, True]
    assert watch.course.steps == [14, 28, 42]
    assert watch.course.averages == [250.0] * 3
    assert watch.course.seconds == sorted(watch.course.seconds)


def test_a_watch_gives_up() -> None:
    watch = Watch("mtctl", 0, Size(episodes=4, every=2))
    assert [watch.episode_ended(episode, episode, lambda task: 0.0) for episode in (2, 4)] == [False, True]
    late = Watch("mtctl", 0, Size(every=2, seconds=0.0))
    assert late.episode_ended(2, 2, lambda task: 0.0)


def test_the_tasks_take_turns_with_the_seeds_of_a_run() -> None:
    world = ThreeTasks(seed=5)
    for episode in range(4):
        observation, _ = world.reset()
        task = TASKS[episode % 3]
        peer = environments.make(task)
        expected = peer.reset(environments.training_seed(5, task, episode // 3))
        assert observation.tolist() == expected.tolist()
        peer.close()


def test_a_quick_race_prints_the_table_and_writes_the_document(tmp_path: Path) -> None:
    path = tmp_path / "race.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.time_to_land",
        "--quick",
        "--seeds",
        "1",
        "--json",
        str(path),
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(path.read_text(encoding="utf-8"))
    assert [each["side"] for each in written["courses"]] == ["mtctl", PEER]
    for each in written["courses"]:
        assert len(each["seconds"]) == len(each["steps"]) == len(each["averages"]) == 2
        assert 0 < each["seconds"][0] < each["seconds"][1]
    assert "median ratio" in ran.stdout
