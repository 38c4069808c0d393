from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtctl.engine import lock
from mtctl.engine.directory import RunDirectory
from mtctl.engine.evaluate import restore
from mtctl.engine.result import Note
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.lander import environments, tasks
from mtctl.problems.lander.problem import Lander
from tests.engine.runs import StopAfter, evaluate_run, execute, recipe, train, tree


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained") / "run"
    train(directory)
    return directory


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def document(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_evaluation_is_written_into_the_run(run: Path) -> None:
    found = evaluate_run(run, items=3)
    assert document(run / "eval.json") == found
    assert (found["checkpoint"], found["done"], found["seeds"], found["items"]) == (
        "last",
        6,
        "held_out",
        3,
    )
    assert found["tasks"].keys() == {"standard", "windy", "heavy"}
    for task in found["tasks"].values():
        assert len(task["scores"]) == len(task["steps"]) == len(task["outcomes"]) == 3
        assert task["measures"] == {}


def test_training_ends_with_the_same_evaluation(trained: Path, run: Path) -> None:
    by_training = document(trained / "eval.json")
    assert evaluate_run(run, items=by_training["items"]) == by_training


def test_a_run_is_evaluated_with_the_weights_that_its_recipe_lets_play(tmp_path: Path) -> None:
    averaged = tmp_path / "averaged"
    train(averaged, recipe("equal_blind", "evaluation.policy=averaged"))
    by_training = document(averaged / "eval.json")
    assert evaluate_run(averaged, items=by_training["items"]) == by_training
    problem, content = restore(averaged)
    trained = content["training"]["problem"]["dqn"]
    assert torch.equal(content["policy"]["parameters"], trained["averaged"]["parameters"])
    assert torch.equal(problem.policy_state()["parameters"], trained["averaged"]["parameters"])
    assert not torch.equal(trained["averaged"]["parameters"], trained["online"]["parameters"])


def test_other_checkpoints_have_files_of_their_own(run: Path) -> None:
    before = (run / "eval.json").read_bytes()
    early = evaluate_run(run, checkpoint="ep0002", items=1)
    assert (early["checkpoint"], early["done"]) == ("ep0002", 2)
    assert document(run / "eval-ep0002.json") == early
    assert (run / "eval.json").read_bytes() == before
    by_path = evaluate_run(run, checkpoint=str(run / "checkpoints" / "ep0002.pt"), items=1)
    assert by_path == early


def test_a_checkpoint_from_elsewhere_says_nothing_about_the_run(run: Path, tmp_path: Path) -> None:
    execute(recipe(), 1, tmp_path / "other")
    before = tree(run)
    foreign = evaluate_run(run, checkpoint=str(tmp_path / "other" / "checkpoints" / "last.pt"), items=1)
    assert foreign["tasks"] != document(run / "eval.json")["tasks"]
    assert tree(run) == before


def test_a_part_is_merged_into_a_result_of_the_same_protocol(run: Path) -> None:
    whole = evaluate_run(run, items=2)
    stale = document(run / "eval.json")
    stale["tasks"]["windy"]["scores"] = [0.0, 0.0]
    (run / "eval.json").write_text(json.dumps(stale))
    part = evaluate_run(run, items=2, tasks=("windy",))
    assert part["tasks"] == {"windy": whole["tasks"]["windy"]}
    assert document(run / "eval.json") == whole
    assert list(document(run / "eval.json")["tasks"]) == ["standard", "windy", "heavy"]


@pytest.mark.parametrize(
    "spoil",
    [lambda file: None, lambda file: file.unlink(), lambda file: file.write_text("[1]")],
    ids=["other number of items", "missing", "not an evaluation"],
)
def test_a_part_alone_is_not_written(run: Path, spoil: Callable[[Path], object]) -> None:
    evaluate_run(run, items=2)
    spoil(run / "eval.json")
    before = tree(run)
    assert evaluate_run(run, items=1, tasks=("heavy",))["tasks"].keys() == {"heavy"}
    assert tree(run) == before


def refused(run: Path, **options: Any) -> MtctlError:
    before = tree(run)
    with pytest.raises(MtctlError) as caught:
        evaluate_run(run, items=1, **options)
    assert tree(run) == before
    assert caught.value.code == ExitCode.USAGE
    assert caught.value.hint
    return caught.value


def test_missing_checkpoint(run: Path) -> None:
    error = refused(run, checkpoint="ep0003")
    assert "ep0003.pt: no such checkpoint" in error.message
    assert error.hint == "there are: best, ep0002, ep0004, ep0006, last"


def test_another_recipes_checkpoint(run: Path, tmp_path: Path) -> None:
    train(tmp_path / "other", recipe("shared_blind", "problem.episodes_per_task=1"))
    error = refused(run, checkpoint=str(tmp_path / "other" / "checkpoints" / "last.pt"))
    assert "made from another recipe" in error.message


def test_unknown_task(run: Path) -> None:
    error = refused(run, tasks=("standard", "wind"))
    assert "this run has no task `wind`" in error.message
    assert error.hint is not None
    assert "standard, windy, heavy" in error.hint


def test_missing_or_broken_recipe(run: Path) -> None:
    (run / "recipe.yaml").write_text("name: [")
    before = tree(run)
    with pytest.raises(MtctlError, match=r"recipe\.yaml:1:"):
        evaluate_run(run)
    assert tree(run) == before
    (run / "recipe.yaml").unlink()
    assert "no recipe.yaml" in refused(run).message


def test_tasks_that_have_changed_since(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**tasks.TASKS, "windy": tasks.TaskDefinition(time_limit=500, wind_power=15.0)}
    monkeypatch.setattr(environments, "TASKS", changed)
    assert "defined differently" in refused(run).message


def test_restored_problem_has_the_checkpoints_policy(run: Path) -> None:
    problem, content = restore(run, "ep0002")
    assert content["done"] == 2
    stored = problem.policy_state()["parameters"]
    assert stored.equal(content["policy"]["parameters"])
    assert not stored.equal(restore(run, "last")[0].policy_state()["parameters"])


def while_evaluating(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen between the reading of a checkpoint and the writing of its result."""
    evaluate = Lander.evaluate

    def evaluating(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(Lander, "evaluate", evaluate)
        happens()
        return evaluate(*arguments, **options)

    monkeypatch.setattr(Lander, "evaluate", evaluating)


def test_a_run_that_has_ended_meanwhile_keeps_its_final_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said = tmp_path / "run", list[Note]()
    train(run, stop=StopAfter(2))
    while_evaluating(monkeypatch, lambda: train(run, resume=True))
    early = evaluate_run(run, items=1, say=said.append)
    assert early["done"] == 2
    assert document(run / "eval.json")["done"] == 6
    assert [note.text for note in said] == [
        "was trained further meanwhile and was evaluated at episode 2: the result is shown but not stored"
    ]


def test_what_a_training_is_about_to_write_is_left_to_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, said = (run / "eval.json").read_bytes(), list[Note]()
    place = RunDirectory(run)
    place.acquire()
    evaluate_run(run, items=2, say=said.append)
    assert (run / "eval.json").read_bytes() == before
    kept = "was evaluated at episode 6: the result is shown but not stored"
    assert [note.text for note in said] == [f"is being trained by process {os.getpid()} and {kept}"]
    # A numbered checkpoint stays what it is.
    early = evaluate_run(run, checkpoint="ep0002", items=1)
    assert document(run / "eval-ep0002.json") == early
    place.release()


def test_a_best_checkpoint_that_was_replaced_meanwhile_is_not_stored(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, said = run / "checkpoints" / "best.pt", list[Note]()
    while_evaluating(monkeypatch, lambda: best.write_bytes(best.read_bytes() + b" "))
    evaluate_run(run, checkpoint="best", items=1, say=said.append)
    assert not (run / "eval-best.json").exists()
    assert "was trained further meanwhile" in said[0].text


def test_where_files_cannot_be_locked_results_are_stored(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: object) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "try_lock", refuse)
    assert evaluate_run(run, items=2) == document(run / "eval.json")


def test_a_run_that_was_stopped_as_it_began_has_nothing_to_evaluate(run: Path) -> None:
    told = document(run / "run.json")
    (run / "run.json").write_text(json.dumps({**told, "begun": False}))
    assert "stopped before it began" in refused(run).message
