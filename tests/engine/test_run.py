from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mtctl.engine import checkpoint
from mtctl.engine.result import Note
from mtctl.problems.lander import support
from tests.engine.runs import (
    StopAfter,
    assert_same_training,
    last,
    metrics,
    recipe,
    run_json,
    train,
    tree,
)
from tests.recipes.samples import lander


def test_files_of_a_run(finished: Path) -> None:
    assert sorted(tree(finished)) == [
        "checkpoints/best.pt",
        "checkpoints/ep0002.pt",
        "checkpoints/ep0004.pt",
        "checkpoints/ep0006.pt",
        "checkpoints/last.pt",
        "eval.json",
        "lock",
        "metrics.jsonl",
        "recipe.yaml",
        "run.json",
    ]
    assert (finished / "recipe.yaml").read_text().startswith("# mtctl train equal_blind\nname: equal_blind\n")


def test_run_json(finished: Path) -> None:
    found, records = run_json(finished), metrics(finished)
    assert (found["status"], found["error"], found["seed"]) == ("completed", None, 0)
    assert found["tasks"] == ["standard", "windy", "heavy"]
    episodes = [record for record in records if record["kind"] == "unit"]
    assert found["budget"] == {
        "units": 6,
        "done": 6,
        "environment_steps": sum(each["steps"] for record in episodes for each in record["tasks"].values()),
        "updates": episodes[-1]["updates"],
        "samples_per_update": 192,
    }
    assert found["seconds"]["total"] == pytest.approx(
        found["seconds"]["training"] + found["seconds"]["evaluation"]
    )
    assert found["ended"] >= found["started"]
    assert found["versions"].keys() == {"mtctl", "python", "torch", "numpy", "gymnasium", "box2d"}


def test_records(finished: Path) -> None:
    records = metrics(finished)
    assert [record["kind"] for record in records] == (["unit"] * 3 + ["evaluation"]) * 2
    episodes = [record for record in records if record["kind"] == "unit"]
    assert [record["unit"] for record in episodes] == [1, 2, 3, 4, 5, 6]
    assert episodes[0]["signals"] is None
    every = lander("equal_blind").agent.update_every
    before, after = (episodes[place]["environment_steps"] // every for place in (-2, -1))
    assert episodes[-1]["signals"]["updates"] == after - before
    assert episodes[-1]["signals"]["weight"] == {"standard": 1.0, "windy": 1.0, "heavy": 1.0}
    evaluation = records[-1]
    assert evaluation["tasks"].keys() == {"standard", "windy", "heavy"}
    means = [task["mean"] for task in evaluation["tasks"].values()]
    assert evaluation["average"] == pytest.approx(sum(means) / 3)
    assert all(task["items"] == 1 and task["sd"] is None for task in evaluation["tasks"].values())


def test_checkpoints_hold_what_they_say(finished: Path) -> None:
    contents = {name: checkpoint.load(finished / "checkpoints" / f"{name}.pt") for name in ("ep0004", "last")}
    assert [contents[name]["done"] for name in ("ep0004", "last")] == [4, 6]
    assert contents["ep0004"]["training"] is None
    assert contents["last"]["training"] is not None
    early, late = (contents[name]["policy"]["parameters"] for name in ("ep0004", "last"))
    assert not torch.equal(early, late)


def test_best_is_the_best_evaluation(finished: Path) -> None:
    evaluations = [record for record in metrics(finished) if record["kind"] == "evaluation"]
    best = max(evaluations, key=lambda record: record["average"])
    assert checkpoint.load(finished / "checkpoints" / "best.pt")["done"] == best["unit"]


@pytest.mark.parametrize("stops", [[1], [3], [5], [2, 1, 2]])
def test_interrupted_and_resumed_equals_uninterrupted(
    finished: Path, tmp_path: Path, stops: list[int]
) -> None:
    for number, episodes in enumerate(stops):
        assert train(tmp_path, stop=StopAfter(episodes), resume=bool(number)) == "interrupted"
        assert run_json(tmp_path)["status"] == "interrupted"
        assert run_json(tmp_path)["budget"]["done"] == sum(stops[: number + 1])
    assert train(tmp_path, resume=True) == "completed"
    assert_same_training(tmp_path, finished)


def test_a_stop_at_the_last_episode_completes(finished: Path, tmp_path: Path) -> None:
    assert train(tmp_path, stop=StopAfter(6)) == "completed"
    assert_same_training(tmp_path, finished)


class Crash(BaseException):
    """Ends a run as if the machine had lost its power: nothing is saved, nothing is noted."""


class CrashAfter:
    def __init__(self, episodes: int) -> None:
        self._episodes = episodes

    def unit_ended(self, record: dict[str, Any]) -> None:
        if record["kind"] == "unit" and record["unit"] == self._episodes:
            raise Crash


@pytest.mark.parametrize("episodes", [1, 3, 5])
def test_crashed_and_resumed_equals_uninterrupted(finished: Path, tmp_path: Path, episodes: int) -> None:
    """From the last checkpoint, or the start if there is none; later records are cut off and made again."""
    with pytest.raises(Crash):
        train(tmp_path, observers=[CrashAfter(episodes)])
    assert run_json(tmp_path)["status"] == "running"
    assert len(metrics(tmp_path)) >= episodes
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind":"unit","uni')
    assert train(tmp_path, resume=True) == "completed"
    assert_same_training(tmp_path, finished)


def test_resuming_a_completed_run_changes_nothing(tmp_path: Path) -> None:
    short = recipe("equal_blind", "problem.episodes_per_task=1")
    train(tmp_path, short)
    before = tree(tmp_path)
    assert train(tmp_path, short, resume=True) == "completed"
    assert tree(tmp_path) == before


def test_observers_cannot_change_what_is_trained(finished: Path, tmp_path: Path) -> None:
    class Meddler:
        def unit_ended(self, record: dict[str, Any]) -> None:
            torch.rand(3)
            record.clear()

    assert train(tmp_path, observers=[Meddler()]) == "completed"
    assert_same_training(tmp_path, finished)


def test_a_run_keeps_how_its_recipe_was_tuned(finished: Path, tmp_path: Path) -> None:
    """It is told, and changes nothing else of a run, which may be resumed with another declaration."""
    tuned = recipe("equal_blind", "tuning={runs: 12, note: rate by hand}")
    assert train(tmp_path, tuned, stop=StopAfter(2)) == "interrupted"
    assert run_json(tmp_path)["tuning"] == {"runs": 12, "note": "rate by hand"}
    assert train(tmp_path, recipe("equal_blind", "tuning.runs=15"), resume=True) == "completed"
    assert run_json(tmp_path)["tuning"] == {"runs": 15, "note": None}
    assert "tuning" not in run_json(finished)
    assert run_json(tmp_path)["recipe_hash"] == run_json(finished)["recipe_hash"]
    for name in ("metrics.jsonl", "eval.json"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_seeds_differ(finished: Path, tmp_path: Path) -> None:
    train(tmp_path, seed=1)
    assert metrics(tmp_path)[0]["tasks"] != metrics(finished)[0]["tasks"]
    assert not torch.equal(last(tmp_path)["policy"]["parameters"], last(finished)["policy"]["parameters"])


def test_what_a_problem_notices_is_said_while_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "WINDOW", 640)
    narrow = recipe("brc", "agent.hidden=[16]", "agent.categorical={atoms: 5, low: -0.5, high: 0.5}")
    said: list[Note] = []
    assert train(tmp_path, narrow, say=said.append) == "completed"
    (note,) = said
    assert note.kind == "noticed"
    assert note.text.startswith("clips targets that lie outside -0.5 to 0.5 (")
    clipped = [record["signals"]["clipped_targets"] for record in metrics(tmp_path) if record.get("signals")]
    assert max(share for shares in clipped for share in shares.values() if share is not None) > 0.05
