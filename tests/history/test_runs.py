from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtctl.errors import MtctlError
from mtctl.history.history import History, read_history
from mtctl.history.runs import evaluation, find_runs, read_run
from tests.history.runs_factory import run_document, summary, write_run, write_windows_run


def history(path: Path) -> History:
    return read_history(read_run(path))


def failure(read: Callable[[], object]) -> MtctlError:
    with pytest.raises(MtctlError) as caught:
        read()
    assert caught.value.code == 2
    assert caught.value.hint
    return caught.value


def test_a_run_is_read(tmp_path: Path) -> None:
    path = write_run(tmp_path, seed=3, status="interrupted", error={"message": "stopped"}, future_key=[1])
    run = read_run(path)
    assert (run.path, run.name, run.seed, run.status) == (path, "gradnorm_blind", 3, "interrupted")
    assert run.tasks == ("standard", "windy", "heavy")
    assert run.definition["environment"] == "LunarLander"
    assert (run.parameters.total, run.parameters.shared, run.parameters.balancer) == (35719, 35716, 3)
    assert (run.budget.done, run.budget.samples_per_update) == (1500, 192)
    assert run.seconds.training == 490.1
    assert run.versions["torch"] == "2.13.0"
    assert run.error is not None
    assert run.error.message == "stopped"


def test_an_evaluation_is_read(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    found = evaluation(path)
    assert found is not None
    assert (found.items, found.seeds, found.done) == (4, "held_out", 1500)
    assert found.tasks["windy"].scores == (100.0, 150.0, 200.0, 250.0)
    assert found.tasks["windy"].first(2).outcomes == ("timed_out", "timed_out")
    assert evaluation(path, "best") is None


def test_an_evaluation_of_another_checkpoint_has_its_own_file(tmp_path: Path) -> None:
    path = write_run(tmp_path, evaluation={"checkpoint": "best"})
    (path / "eval.json").rename(path / "eval-best.json")
    assert evaluation(path) is None
    found = evaluation(path, "best")
    assert found is not None
    assert found.checkpoint == "best"


def test_an_evaluation_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path, evaluation={"checkpoint": "best"})
    assert "is of checkpoint best, not last" in failure(lambda: evaluation(path)).message


def test_runs_are_found_once_and_in_order(tmp_path: Path) -> None:
    seeds = [write_run(tmp_path, "b", seed) for seed in (10, 2, 0)]
    other = write_run(tmp_path, "a", 0)
    expected = [other, seeds[2], seeds[1], seeds[0]]
    assert find_runs([tmp_path]) == expected
    assert find_runs([tmp_path / "a", tmp_path / "b"]) == expected
    assert find_runs([seeds[0], tmp_path / "b", tmp_path / "b" / ".." / "b"]) == [
        seeds[0],
        seeds[2],
        seeds[1],
    ]


def test_what_is_no_run_is_passed_over_inside_a_results_root(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (tmp_path / "plots" / "png").mkdir(parents=True)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "run.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    assert find_runs([tmp_path]) == [run]


def test_a_run_without_run_json_is_found_so_that_it_can_be_named(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "run.json").unlink()
    assert find_runs([tmp_path]) == [run]
    assert failure(lambda: read_run(run)).message == f"{run} is an incomplete run: it has no run.json"


def test_a_missing_path_gets_its_nearest_neighbour(tmp_path: Path) -> None:
    write_run(tmp_path / "results", "my_recipe")
    error = failure(lambda: find_runs([tmp_path / "results" / "my_recpie"]))
    assert error.message == f"{tmp_path}/results/my_recpie does not exist"
    assert error.hint == f"did you mean {tmp_path}/results/my_recipe?"
    assert (
        failure(lambda: find_runs([tmp_path / "resluts" / "x" / "seed0"])).hint
        == f"did you mean {tmp_path}/results?"
    )
    assert "mtctl train RECIPE" in (failure(lambda: read_run(tmp_path / "zzz")).hint or "")


@pytest.mark.parametrize(
    ("path", "recipe"),
    [
        ("results/gradnorm_blind", "gradnorm_blind"),
        ("gradnorm_blind", "gradnorm_blind"),
        ("results/pcgrad_aware/seed0", "pcgrad_aware"),
        ("results/published_gradnorm_blind", "published/gradnorm_blind"),
    ],
)
def test_a_missing_path_that_names_a_built_in_recipe_says_how_to_train_it(
    tmp_path: Path, path: str, recipe: str
) -> None:
    assert f"`mtctl train {recipe}`" in (failure(lambda: find_runs([tmp_path / path])).hint or "")


def test_a_checkpoint_is_not_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    error = failure(lambda: find_runs([run / "checkpoints" / "last.pt"]))
    assert error.message.endswith("last.pt is a checkpoint, not a run")
    assert error.hint == f"name the run's directory: {run}"
    assert failure(lambda: read_run(run / "run.json")).message.endswith("run.json is a file, not a run")


def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert failure(lambda: find_runs([tmp_path / "photos"])).message.endswith(
        "photos is not a run and holds none"
    )
    assert "photos is not a run" in failure(lambda: read_run(tmp_path / "photos")).message


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_an_impossible_path_is_refused(tmp_path: Path, name: str) -> None:
    failure(lambda: find_runs([tmp_path / name]))


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert failure(lambda: find_runs([tmp_path])).message == f"{tmp_path} cannot be read: Permission denied"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, evaluation=None)
    (run / "eval.json").mkdir()
    assert "eval.json cannot be read: Is a directory" in failure(lambda: evaluation(run)).message


def changed(**changes: Any) -> bytes:
    return json.dumps(run_document(**changes)).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "run.json is empty"),
        (b" \n", "run.json is empty"),
        (changed()[:-1], "run.json is cut off in the middle of a value"),
        (changed()[:300], "run.json is cut off in the middle of a value"),
        (b'{"schema": 3,\n "name" 3}', "run.json:2:9 is not valid JSON: expecting ':' delimiter"),
        (b'{"schema": 3}\x00', "run.json:1:14 is not valid JSON: extra data"),
        (b"\xfe\xff", "run.json is not UTF-8 text (byte 1)"),
        (b"[1]", "run.json was not written by mtctl: it states no `schema`"),
        (b"{}", "run.json was not written by mtctl: it states no `schema`"),
        (changed(schema=1), "run.json has schema 1; this mtctl reads schema 2 and 3"),
        (changed(schema=True), "run.json has schema true; this mtctl reads schema 2 and 3"),
        (b"[" * 100_000, "run.json is nested too deeply"),
        (b'{"schema": ' + b"1" * 5000 + b"}", "run.json is not valid JSON: Exceeds the limit"),
        (b'{"schema": 3, "seed": Infinity}', "run.json is not valid JSON: Infinity is no number"),
        (b'{"schema": 3}', "status: is missing"),
        (changed(seed="0"), 'seed: input should be a valid integer, found "0"'),
        (changed(seed=-1), "seed: input should be greater than or equal to 0, found -1"),
        (changed(seed=10**400), "found a huge integer"),
        (changed(status="done"), "status: input should be 'running', 'completed', 'interrupted' or 'failed'"),
        (changed(tasks=["standard", "standard"]), "tasks: a task is listed twice"),
        (changed(name="a\x1b[31mb"), 'name: input should be printable text, found "a\\u001b[31mb"'),
        (changed(name="\ud800"), "name: input should be"),
        (changed(seconds=None), "seconds: input should be an object, found null"),
        (changed(score={"success": 1e200}), "score.success: input should be less than or equal to"),
        (
            json.dumps(run_document() | {"tasks": {"a": 1}}).encode(),
            "tasks: input should be a list, found an object",
        ),
    ],
)
def test_a_broken_run_json_is_explained(tmp_path: Path, content: bytes, message: str) -> None:
    run = write_run(tmp_path)
    (run / "run.json").write_bytes(content)
    error = failure(lambda: read_run(run))
    assert error.message.startswith(f"{run}/run.json")
    assert message in error.message
    assert "--force" in (error.hint or "")


def test_many_problems_are_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "run.json").write_text('{"schema": 3}')
    assert re.search(r"and \d+ more$", failure(lambda: read_run(run)).message)


def test_a_task_may_have_fewer_scores_than_there_are_rows(tmp_path: Path) -> None:
    def scored(count: int) -> dict[str, Any]:
        return {"scores": [1.0] * count, "steps": None, "outcomes": None, "measures": {}}

    run = write_run(tmp_path, evaluation={"items": 3, "tasks": {"depth": scored(3), "normals": scored(2)}})
    found = evaluation(run)
    assert found is not None
    assert [len(task.scores) for task in found.tasks.values()] == [3, 2]
    run = write_run(tmp_path / "none", evaluation={"items": 3, "tasks": {"a": scored(3), "b": scored(0)}})
    assert "task b has 0 scores" in failure(lambda: evaluation(run)).message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": 5}, "5 items are announced, and task standard has 4 scores"),
        ({"items": 0}, "items: input should be greater than or equal to 1"),
        ({"tasks": {}}, "tasks: "),
        (
            {"tasks": {"standard": {"scores": [1], "steps": [1], "outcomes": [0], "measures": {}}}},
            "outcomes.0: input should",
        ),
        (
            {
                "items": 1,
                "tasks": {"standard": {"scores": [1], "steps": [1, 2], "outcomes": None, "measures": {}}},
            },
            "1 items are announced, and task standard has 2 steps",
        ),
        (
            {
                "tasks": {
                    "standard": {"scores": [1], "steps": None, "outcomes": None, "measures": {"loss": None}}
                }
            },
            "measures.loss: input should be a valid number",
        ),
        ({"done": None}, "done: input should be a valid integer, found null"),
    ],
)
def test_a_broken_evaluation_is_explained(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    run = write_run(tmp_path, evaluation=changes)
    error = failure(lambda: evaluation(run))
    assert message in error.message
    assert "mtctl eval" in (error.hint or "")


@pytest.mark.parametrize("file", ["run.json", "eval.json", "metrics.jsonl"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("write", [write_run, write_windows_run])
def test_damage_is_explained_or_harmless(
    tmp_path: Path, file: str, data: st.DataObject, write: Callable[..., Path]
) -> None:
    """Whatever bytes are cut out or overwritten: a result, or a clear error; never another exception."""
    run = tmp_path / "mine" / "seed0"
    if not run.exists():
        write(tmp_path, "mine", status="running")
        (run / f"{file}.whole").write_bytes((run / file).read_bytes())
    whole = (run / f"{file}.whole").read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.one_of(st.just(len(whole)), st.integers(start, min(len(whole), start + 20))))
    (run / file).write_bytes(whole[:start] + data.draw(st.binary(max_size=10)) + whole[end:])
    for read in (read_run, evaluation, history, lambda path: summary(read_run(path))):
        try:
            read(run)
        except MtctlError as error:
            assert error.hint
            error.message.encode()  # could be printed


def test_a_name_that_shows_nothing_is_none(tmp_path: Path) -> None:
    run = write_run(tmp_path, name=" ")
    assert "name: input should be printable text" in failure(lambda: read_run(run)).message


def test_a_file_of_results_that_is_none(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    for name, read in (("metrics.jsonl", lambda: history(run)), ("eval.json", lambda: evaluation(run))):
        (run / name).unlink()
        (run / name).symlink_to("/dev/zero")
        assert f"{name} cannot be read: it is a device, not a file" in failure(read).message
        (run / name).unlink()
        os.mkfifo(run / name)
        assert f"{name} cannot be read: it is a pipe, not a file" in failure(read).message
        (run / name).unlink()
        with (run / name).open("wb") as file:
            file.truncate(10**12)
        assert f"{name} is too large: 1 TB; at most 1 GB are read" in failure(read).message
