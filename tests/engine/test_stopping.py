"""Runs left in the midst of a unit or of an evaluation lose nothing before it, and go on the same."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from mtctl.engine import checkpoint, run
from mtctl.engine.interrupt import Stop, Stopped
from mtctl.problems.lander.problem import Lander
from mtctl.problems.recipe import Recipe
from mtctl.problems.windows.problem import Windows
from tests.engine.runs import (
    WINDOWS,
    StopAfter,
    assert_same_training,
    last,
    metrics,
    recipe,
    run_json,
    train,
    tree,
)
from tests.recipes.samples import revise

RECIPES: dict[str, Recipe] = {
    # Rings that are full after two episodes, so that every step writes over an older one.
    "per task": recipe("gradnorm_blind", "agent.replay.capacity=300", "agent.n_step=3"),
    "mixed": recipe("shared_blind", "agent.replay.capacity=200", "evaluation.every=0"),
    "independent": recipe("independent", "agent.replay.capacity=100000", "agent.replay.learning_starts=32"),
    "priority": recipe(
        "shared_onehot",
        "agent.replay.capacity=200",
        "agent.replay.priority={environment_steps: 500}",
        "agent.reward_scale={kind: running_return}",
        "evaluation.policy=averaged",
    ),
    "residual": recipe(
        "brc",
        "agent.hidden=[16]",
        "agent.replay.priority={environment_steps: 500}",
        "balancer=[{kind: gradnorm, initial_window: 2}, {kind: pcgrad}]",
    ),
    "windows": WINDOWS,
    "pcgrad": revise(WINDOWS, ["balancer={kind: pcgrad}", "training.optimizer=sgd", "training.lr=0.01"]),
}


class HastyAfter(Stop):
    """Asks to leave before the n-th step from now."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def now(self) -> bool:
        self._left -= 1
        return self._left < 0


@pytest.fixture(scope="module", params=RECIPES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a completed run of each recipe; nobody may change it."""
    directory = tmp_path_factory.mktemp("finished") / str(request.param)
    assert train(directory, RECIPES[request.param]) == "completed"
    return directory


def steps(directory: Path) -> list[int]:
    """Return how many steps of the loop each unit took."""
    units = [record for record in metrics(directory) if record["kind"] != "evaluation"]
    return [next(iter(record["tasks"].values())).get("steps", 3) for record in units]


@pytest.mark.parametrize("where", [[0.0], [1.2, 0.8, 0.7]])
def test_left_in_the_midst_of_a_unit(finished: Path, tmp_path: Path, where: list[float]) -> None:
    of, units, done = RECIPES[finished.name], steps(finished), 0
    for number, ahead in enumerate(where):
        whole, part = int(ahead), ahead % 1
        ahead_steps = sum(units[done : done + whole]) + int(part * units[done + whole])
        status = train(tmp_path, of, stop=HastyAfter(ahead_steps), resume=bool(number))
        assert status == run_json(tmp_path)["status"] == "interrupted"
        done += whole
        assert run_json(tmp_path)["budget"]["done"] == last(tmp_path)["done"] == done
        written = [record for record in metrics(tmp_path) if record["kind"] != "evaluation"]
        assert len(written) == done
    assert train(tmp_path, of, resume=True) == "completed"
    assert_same_training(tmp_path, finished)


def asking(problem: type[Any], stop: Stop, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the user ask for a stop in the midst of the `at`-th evaluation; until it is heard."""
    evaluate, calls = problem.evaluate, []

    def asked(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        found = evaluate(self, *arguments)
        if len(calls) == at:
            stop.ask()
            stop.ask()
        return found

    monkeypatch.setattr(problem, "evaluate", asked)


@pytest.mark.parametrize(("of", "problem"), [(recipe(), Lander), (WINDOWS, Windows)])
@pytest.mark.parametrize("at", [1, 2])
def test_an_evaluation_that_is_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: Recipe, problem: type[Any], at: int
) -> None:
    """The unit before it is not lost."""
    stop, once, again = Stop(), tmp_path / "once", tmp_path / "again"
    assert train(once, of) == "completed"
    with monkeypatch.context() as patch:
        asking(problem, stop, at, patch)
        assert train(again, of, stop=stop) == "interrupted"
    done = at * of.evaluation.every
    assert run_json(again)["budget"]["done"] == done
    kinds = [record["kind"] for record in metrics(again)]
    assert kinds == [record["kind"] for record in metrics(once)][: len(kinds)]
    assert (len(kinds), kinds.count("evaluation")) == (done + at - 1, at - 1)
    seen: list[str] = []
    observer = type("Observer", (), {"unit_ended": lambda _, record: seen.append(record["kind"])})()
    assert train(again, of, resume=True, observers=[observer]) == "completed"
    assert seen[0] == "evaluation"
    assert_same_training(again, once)


def test_a_request_in_the_final_evaluation_leaves_it_to_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, once, again = Stop(), tmp_path / "once", tmp_path / "again"
    assert train(once) == "completed"
    evaluate = Lander.evaluate

    def asked(self: Any, items: int, seeds: str, tasks: Any = None) -> Any:
        if seeds == "held_out":
            stop.ask()
        return evaluate(self, items, seeds, tasks)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Lander, "evaluate", asked)
        assert train(again, stop=stop) == "interrupted"
    assert (run_json(again)["budget"]["done"], last(again)["done"]) == (6, 6)
    assert not (again / "eval.json").exists()
    assert train(again, resume=True) == "completed"
    assert_same_training(again, once)


def test_the_third_request_leaves_at_once(tmp_path: Path) -> None:
    class Impatient(Stop):
        def now(self) -> bool:
            if len(metrics(tmp_path)) == 4:
                raise KeyboardInterrupt
            return False

    with pytest.raises(KeyboardInterrupt) as left:
        train(tmp_path, stop=Impatient())
    assert not isinstance(left.value, Stopped)
    assert (run_json(tmp_path)["status"], run_json(tmp_path)["error"]) == ("interrupted", None)
    assert run_json(tmp_path)["budget"]["done"] == 2
    assert last(tmp_path)["done"] == 2
    assert train(tmp_path, resume=True) == "completed"


def test_saved_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`last.pt` is never older than that; no checkpoint is added, and the records are the same."""
    sparse = recipe("equal_blind", "checkpoints.every=100")
    assert train(tmp_path / "once", sparse) == "completed"
    monkeypatch.setattr(run, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(run, "_SAVING_SHARE", 1e9)
    saved: list[int] = []

    class Power(BaseException):
        pass

    class Cut:
        def unit_ended(self, record: dict[str, Any]) -> None:
            saved.append(last(tmp_path / "cut")["done"])
            assert run_json(tmp_path / "cut")["budget"]["done"] == saved[-1]
            if len(saved) == 5:
                raise Power

    with pytest.raises(Power):
        train(tmp_path / "cut", sparse, observers=[Cut()])
    assert saved == [1, 2, 3, 3, 4]  # the third unit has an evaluation as well
    assert run_json(tmp_path / "cut")["status"] == "running"
    assert train(tmp_path / "cut", sparse, resume=True) == "completed"
    assert_same_training(tmp_path / "cut", tmp_path / "once")


def test_saving_that_takes_long_is_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no more than a fiftieth of the time."""
    clock, saves = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    save = checkpoint.save

    def slow(path: Path, content: dict[str, Any]) -> None:
        save(path, content)
        if path.stem == "last":
            saves.append(clock[0])
            clock[0] += 10.0

    class Clock:
        def unit_ended(self, record: dict[str, Any]) -> None:
            clock[0] += 100.0

    monkeypatch.setattr(checkpoint, "save", slow)
    many = recipe("equal_blind", "problem.episodes_per_task=4", "checkpoints.every=100", "evaluation.every=0")
    assert train(tmp_path, many, observers=[Clock()], stop=StopAfter(12)) == "completed"
    assert saves == [100.0, 610.0, 1120.0]  # after 500 seconds each, and at the end


def test_temporaries_of_the_dead_are_removed(tmp_path: Path) -> None:
    train(tmp_path, stop=StopAfter(2))
    ours = ["run.json", "recipe.yaml", "eval.json", "checkpoints/last.pt", "checkpoints/ep0100.pt"]
    for name in ours:
        file = tmp_path / name
        for temporary in (f".{file.name}.tmp", f".{file.name}.0123456789abcdef.tmp"):
            (file.parent / temporary).write_bytes(b"half of a fi")
    foreign = [".notes.tmp", "run.json.tmp", ".run.json", "checkpoints/.mine.pt.tmp"]
    for name in foreign:
        (tmp_path / name).write_text("mine")
    assert train(tmp_path, resume=True) == "completed"
    assert sorted(name for name in tree(tmp_path) if name.split("/")[-1].startswith(".")) == [
        ".notes.tmp",
        ".run.json",
        "checkpoints/.mine.pt.tmp",
    ]
    assert (tmp_path / "run.json.tmp").read_text() == "mine"
