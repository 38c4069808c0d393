"""How runs begin, are resumed, replaced and prolonged without losing anything."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtctl.engine import checkpoint
from mtctl.engine import run as run_module
from mtctl.engine.directory import RunDirectory
from mtctl.engine.result import Note, RunResult
from mtctl.engine.run import Course
from mtctl.errors import ExitCode, MtctlError
from mtctl.problems.recipe import Recipe
from mtctl.recipes.loading import load, recipe_hash
from tests.engine.runs import (
    WINDOWS,
    StopAfter,
    assert_same_training,
    evaluate_run,
    metrics,
    recipe,
    run_json,
    train,
    tree,
)


@pytest.fixture
def run(windows_run: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    return Path(shutil.copytree(windows_run, tmp_path / "run"))


class Notes(list[Note]):
    """What a run's beginning said."""

    def __call__(self, note: Note) -> None:
        self.append(note)

    @property
    def kinds(self) -> list[str]:
        return [note.kind for note in self]


def refused(directory: Path, of: Recipe = WINDOWS, **options: Any) -> MtctlError:
    """Return the refusal to train, which must leave every file as it was."""
    before = tree(directory)
    with pytest.raises(MtctlError) as caught:
        train(directory, of, **options)
    assert tree(directory) == before
    assert caught.value.code == ExitCode.USAGE
    assert caught.value.hint
    return caught.value


class Killed(BaseException):
    """Ends a process at once: nobody catches it, nothing is saved."""


class KilledAt:
    """Kills at the k-th change of the file system."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.changes, self._at = 0, at
        for owner, name in ((Path, "replace"), (Path, "unlink"), (Path, "open")):
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if change.__name__ == "open" and "r" in str(arguments[1] if len(arguments) > 1 else "r"):
                return change(*arguments, **options)
            self.changes += 1
            if self.changes == self._at:
                raise Killed
            return change(*arguments, **options)

        return counted


# ----- replacing


def test_force_costs_nothing_where_the_new_run_cannot_begin(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MtctlError("there is no file w.csv", hint="put it back")

    monkeypatch.setattr(run_module, "build_problem", fail)
    assert refused(run, force=True).message == "there is no file w.csv"


@pytest.mark.parametrize("failing", ["Chain", "Balancing"])
def test_nor_where_anything_else_fails(run: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such method")

    before = tree(run)
    monkeypatch.setattr(run_module, failing, fail)
    with pytest.raises(RuntimeError, match="no such method"):
        train(run, WINDOWS, force=True)
    assert tree(run) == before


def test_force_keeps_what_no_run_writes_and_says_so(windows_run: Path, run: Path) -> None:
    theirs = {"notes.txt": b"mine", "figures/plot.png": b"pixels", "checkpoints/my.pt": b"tensors"}
    for name, content in theirs.items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(content)
    (run / "checkpoints" / "ep9999.pt").write_bytes(b"old")
    (run / "eval-ep9999.json").write_bytes(b"old")
    notes = Notes()
    assert train(run, WINDOWS, force=True, say=notes) == "completed"
    found = tree(run)
    assert {name: found.pop(name) for name in theirs} == theirs
    assert found.keys() == tree(windows_run).keys()
    (note,) = notes
    assert note == ("kept", "kept files that are not a run's: figures/, notes.txt, checkpoints/my.pt")


def test_force_leaves_checkpoints_on_their_other_disk(run: Path, tmp_path: Path) -> None:
    (run / "checkpoints").rename(tmp_path / "disk")
    (run / "checkpoints").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "ep9999.pt").write_bytes(b"old")
    assert train(run, WINDOWS, force=True) == "completed"
    assert (run / "checkpoints").is_symlink()
    assert sorted(tree(tmp_path / "disk")) == ["best.pt", "ep0002.pt", "last.pt"]


@pytest.mark.parametrize("flags", [{"force": True}, {"resume": True}, {}], ids=str)
def test_a_disk_that_is_not_mounted_costs_nothing(run: Path, tmp_path: Path, flags: dict[str, Any]) -> None:
    (run / "checkpoints").rename(tmp_path / "away")
    (run / "checkpoints").symlink_to(tmp_path / "disk")
    assert "checkpoints: links to" in refused(run, **flags).message


def untrained(run: Any, _stop: object) -> Course:
    """Stand in for training: leave the run as it has begun."""
    run._metrics.close()
    yield from ()
    found: RunResult = run.result("interrupted")
    return found


def test_a_kill_while_a_run_is_replaced_leaves_one_of_the_two(
    windows_run: Path, run: Path, tmp_path: Path
) -> None:
    """Whenever it comes: the old run as it was, or a new one that begins with --resume."""
    other = WINDOWS.model_copy(update={"balancer": load("windows_documented").balancer, "name": "other"})
    train(tmp_path / "expected", other)
    ends = set()
    for at in range(1, 30):
        shutil.rmtree(run)
        shutil.copytree(windows_run, run)
        with pytest.MonkeyPatch.context() as patch:
            KilledAt(patch, at)
            patch.setattr(run_module._Run, "train", untrained)
            try:
                train(run, other, force=True)
            except Killed:
                pass
            else:
                break
        if run_json(run)["name"] == WINDOWS.name:
            ends.add("old")
            assert tree(run).items() >= {k: v for k, v in tree(windows_run).items() if k != "lock"}.items()
            continue
        ends.add("new")
        with pytest.raises(MtctlError, match=r"another recipe|changed recipe"):
            train(run, WINDOWS, resume=True)
        with pytest.raises(MtctlError):
            evaluate_run(run)
        notes = Notes()
        assert train(run, other, resume=True, say=notes) == "completed"
        assert notes.kinds == ["anew"]
        assert_same_training(run, tmp_path / "expected")
    assert at < 29
    assert ends == {"old", "new"}


def test_two_processes_do_not_make_one_run_twice(windows_run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """A run that another process has finished since the directory was looked at is not overwritten."""
    place = tmp_path / "run"
    acquire = RunDirectory.acquire

    def late(self: RunDirectory, **options: Any) -> None:
        shutil.copytree(windows_run, place)
        acquire(self, **options)

    monkeypatch.setattr(RunDirectory, "acquire", late)
    with pytest.raises(MtctlError, match="already holds a run"):
        train(place, WINDOWS)
    assert tree(place).items() >= {k: v for k, v in tree(windows_run).items() if k != "lock"}.items()


# ----- resuming


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """Return a run of three epochs that was stopped after two, where it saved."""
    assert train(tmp_path / "run", WINDOWS, stop=StopAfter(2)) == "interrupted"
    return tmp_path / "run"


def unreadable(code: int, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let a file be there, which the operating system does not read."""
    opening = io.open

    def refuse(file: Any, *arguments: Any, **options: Any) -> Any:
        if str(file) == str(path):
            raise OSError(code, os.strerror(code), str(path))
        return opening(file, *arguments, **options)

    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_checkpoint_that_cannot_be_read_is_not_called_corrupt(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    before = tree(interrupted)
    with monkeypatch.context() as patch, pytest.raises(MtctlError) as caught:
        unreadable(code, patch, interrupted / "checkpoints" / "last.pt")
        train(interrupted, WINDOWS, resume=True)
    assert tree(interrupted) == before
    error = caught.value
    assert f"the checkpoint cannot be read ({os.strerror(code)})" in error.message
    assert "--force" not in str(error.hint)


@pytest.mark.parametrize("folder", ["empty", "gone"])
def test_a_checkpoint_that_is_gone_is_not_started_without(interrupted: Path, folder: str) -> None:
    shutil.rmtree(interrupted / "checkpoints")
    if folder == "empty":
        (interrupted / "checkpoints").mkdir()
    error = refused(interrupted, resume=True)
    assert "last.pt: the checkpoint to resume from is missing, but 2 epochs are recorded" in error.message
    assert all(remedy in str(error.hint) for remedy in ("mount", "restore the file", "--force starts again"))


@pytest.mark.parametrize("status", ["running", "failed", None], ids=str)
def test_nor_after_a_kill_or_a_failure(interrupted: Path, status: str | None) -> None:
    """Three epochs are on record, and a checkpoint is made after each second one."""
    longer = WINDOWS.lasting(5)
    assert train(interrupted, longer, resume=True, stop=StopAfter(1)) == "interrupted"
    (interrupted / "checkpoints" / "last.pt").unlink()
    run = run_json(interrupted)
    (interrupted / "run.json").write_text(json.dumps({**run, "status": status}) if status else "{")
    assert "is missing, but 3 epochs are recorded" in refused(interrupted, longer, resume=True).message


def test_a_run_that_stopped_before_its_first_checkpoint_starts_again_and_says_so(
    windows_run: Path, tmp_path: Path
) -> None:
    class Crash:
        def unit_ended(self, record: dict[str, Any]) -> None:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "run", WINDOWS, observers=[Crash()])
    assert len(metrics(tmp_path / "run")) == 2
    notes = Notes()
    assert train(tmp_path / "run", WINDOWS, resume=True, say=notes) == "completed"
    assert notes == [("anew", "stopped before its first checkpoint; it starts again")]
    assert_same_training(tmp_path / "run", windows_run)


def test_another_recipes_checkpoint_is_refused(interrupted: Path, tmp_path: Path) -> None:
    other = WINDOWS.model_copy(update={"training": WINDOWS.training.model_copy(update={"lr": 0.1})})
    train(tmp_path / "other", other, stop=StopAfter(1))
    path = interrupted / "checkpoints" / "last.pt"
    path.write_bytes((tmp_path / "other" / "checkpoints" / "last.pt").read_bytes())
    error = refused(interrupted, resume=True)
    assert "made from another recipe" in error.message
    assert "restore this run's checkpoint" in str(error.hint)


# ----- completed runs


def test_a_run_that_was_killed_in_its_final_evaluation_gets_it(
    windows_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(run_module._Run, "_evaluate_finally", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(
                path,
                WINDOWS.model_copy(
                    update={"checkpoints": WINDOWS.checkpoints.model_copy(update={"every": 3})}
                ),
            )
    expected = tmp_path / "expected"
    notes = Notes()
    every_third = load(path / "recipe.yaml")
    assert train(path, every_third, resume=True, say=notes) == "completed"
    assert notes.kinds == ["evaluating"]
    assert "was already trained to its end, and is now evaluated" in notes[0].text
    train(expected, every_third)
    assert_same_training(path, expected)
    assert train(path, every_third, resume=True, say=notes) == "completed"
    assert notes.kinds == ["evaluating", "idle"]


@pytest.mark.parametrize(
    "content",
    [None, "", "{", "[]", '{"schema": 2}', "old"],
    ids=["gone", "empty", "cut", "list", "part", "of before"],
)
def test_a_completed_run_gets_the_evaluation_that_it_lacks(
    windows_run: Path, run: Path, content: str | None
) -> None:
    file = run / "eval.json"
    if content is None:
        file.unlink()
    elif content == "old":
        file.write_text(json.dumps({**json.loads(file.read_text()), "done": 2}))
    else:
        file.write_text(content)
    notes = Notes()
    assert train(run, WINDOWS, resume=True, say=notes) == "completed"
    assert notes.kinds == ["evaluating"]
    assert_same_training(run, windows_run)


def test_a_longer_evaluation_of_a_completed_run_stays(run: Path) -> None:
    """Also where run.json is lost, so that it has to be written anew."""
    evaluate_run(run, items=5)
    before = (run / "eval.json").read_bytes()
    (run / "run.json").unlink()
    notes = Notes()
    assert train(run, WINDOWS, resume=True, say=notes) == "completed"
    assert (run / "eval.json").read_bytes() == before
    assert run_json(run)["status"] == "completed"
    assert notes == [("evaluating", "was already trained to its end, and is now marked as complete")]


@pytest.mark.parametrize("told", [True, False])
def test_a_run_of_another_schema_is_not_continued(run: Path, told: bool) -> None:
    """Nor where run.json is lost, and only the records show that they are of an earlier version."""
    found = run_json(run)
    if told:
        versions = {**found["versions"], "mtctl": "0.0.9"}
        (run / "run.json").write_text(json.dumps({**found, "schema": 2, "versions": versions}))
    else:
        (run / "run.json").unlink()
        file = run / "metrics.jsonl"
        file.write_bytes(file.read_bytes().replace(b'{"kind":"unit","unit":', b'{"kind":"epoch","epoch":'))
    before = tree(run)
    error = refused(run, resume=True)
    writer = "mtctl 0.0.9" if told else "another version of mtctl"
    assert f"{writer} wrote this run in schema 2, but this version continues only runs of schema 3" in str(
        error.message
    )
    assert "compare, report, diagnose and eval can read it" in str(error.hint)
    assert "--resume" not in str(refused(run).hint)
    assert tree(run) == before


@pytest.mark.parametrize("damage", ["gone", "shorter", "longer"])
def test_a_completed_run_without_its_records_is_not_done(run: Path, damage: str) -> None:
    file = run / "metrics.jsonl"
    content = file.read_bytes()
    file.write_bytes(content[:-5] if damage == "shorter" else content + b"{}\n")
    if damage == "gone":
        file.unlink()
    word = "longer" if damage == "longer" else "shorter"
    assert f"metrics.jsonl: {word} than when the checkpoint was saved" in refused(run, resume=True).message


def test_a_completed_run_without_its_checkpoint_is_not_done(run: Path) -> None:
    (run / "checkpoints" / "last.pt").unlink()
    assert "the checkpoint to resume from is missing, but 3 epochs" in refused(run, resume=True).message


# ----- prolonging


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that had five epochs from the start."""
    directory = tmp_path_factory.mktemp("longer") / "run"
    assert train(directory, WINDOWS.lasting(5)) == "completed"
    return directory


def assert_prolonged(run: Path, expected: Path, earlier: list[int]) -> None:
    assert run_json(run)["budget"].pop("earlier") == earlier
    document = run_json(run)
    del document["budget"]["earlier"]
    (run / "run.json").write_text(json.dumps(document))
    assert_same_training(run, expected)
    assert load(run / "recipe.yaml") == load(expected / "recipe.yaml")


@pytest.mark.parametrize("stops", [(), (1,), (2,)], ids=["finished", "after 1", "after 2"])
def test_a_prolonged_run_equals_one_that_had_the_budget_from_the_start(
    longer: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    run = tmp_path / "run"
    train(run, WINDOWS, stop=StopAfter(*stops) if stops else lambda: False)
    notes = Notes()
    assert train(run, WINDOWS.lasting(5), resume=True, say=notes) == "completed"
    assert notes == [("prolonged", "is prolonged from 3 to 5 epochs")]
    assert_prolonged(run, longer, [3])


def test_a_run_can_be_prolonged_again_and_again_and_shortened(longer: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, WINDOWS)
    train(run, WINDOWS.lasting(8), resume=True, stop=StopAfter(1))
    assert run_json(run)["budget"]["units"] == 8
    assert train(run, WINDOWS.lasting(5), resume=True) == "completed"
    assert_prolonged(run, longer, [8, 3])


def test_lander_runs_can_be_prolonged(tmp_path: Path) -> None:
    constant = "agent.lr_schedule={kind: constant}"
    short, long = (recipe("equal_blind", constant, f"problem.episodes_per_task={n}") for n in (2, 3))
    train(tmp_path / "long", long)
    train(tmp_path / "run", short)
    assert train(tmp_path / "run", long, resume=True) == "completed"
    assert_prolonged(tmp_path / "run", tmp_path / "long", [6])


def test_what_is_done_cannot_be_undone(run: Path) -> None:
    error = refused(run, WINDOWS.lasting(2), resume=True)
    assert "3 epochs are done, but the recipe now asks for only 2" in error.message
    assert "-o training.epochs=3" in str(error.hint)


def test_what_is_done_cannot_be_undone_of_the_lander(tmp_path: Path) -> None:
    constant = "agent.lr_schedule={kind: constant}"
    train(tmp_path / "run", recipe("equal_blind", constant), stop=StopAfter(4))
    short = recipe("equal_blind", constant, "problem.episodes_per_task=1")
    assert "-o problem.episodes_per_task=2" in str(refused(tmp_path / "run", short, resume=True).hint)


@pytest.mark.parametrize(
    ("schedule", "bound"), [("{kind: linear}", True), ("{kind: cosine, episodes: 50}", False)]
)
def test_what_goes_by_the_length_of_the_whole_run_keeps_it(
    tmp_path: Path, schedule: str, bound: bool
) -> None:
    falling = recipe("equal_blind", f"agent.lr_schedule={schedule}")
    train(tmp_path / "run", falling, stop=StopAfter(1))
    if bound:
        error = refused(tmp_path / "run", falling.lasting(9), resume=True)
        assert "cannot change from 6 to 9: `agent.lr_schedule` depends on the length" in error.message
        assert train(tmp_path / "run", falling, resume=True) == "completed"
    else:
        assert train(tmp_path / "run", falling.lasting(9), resume=True) == "completed"
        train(tmp_path / "long", falling.lasting(9))
        assert_prolonged(tmp_path / "run", tmp_path / "long", [6])


def test_a_budget_does_not_hide_other_changes(run: Path) -> None:
    other = WINDOWS.model_copy(
        update={"training": WINDOWS.training.model_copy(update={"epochs": 5, "lr": 0.1})}
    )
    error = refused(run, other, resume=True)
    assert "training.lr" in error.message
    assert "training.epochs" not in error.message


def test_the_evaluation_of_the_shorter_run_is_not_taken_for_the_final_one(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run_module._Run, "_evaluate_finally", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(run, WINDOWS.lasting(4), resume=True)
    assert (run_json(run)["status"], run_json(run)["budget"]["units"]) == ("running", 4)
    assert json.loads((run / "eval.json").read_text())["done"] == 3
    assert train(run, WINDOWS.lasting(4), resume=True) == "completed"
    assert json.loads((run / "eval.json").read_text())["done"] == 4


def test_checkpoints_of_the_shorter_run_can_be_evaluated(run: Path) -> None:
    before = {name: evaluate_run(run, checkpoint=name)["tasks"] for name in ("ep0002", "best")}
    train(run, WINDOWS.lasting(5), resume=True, stop=StopAfter(1))
    assert evaluate_run(run, checkpoint="ep0002")["tasks"] == before["ep0002"]
    assert evaluate_run(run, checkpoint="best")["done"] in (1, 2, 3, 4)


def test_a_kill_while_a_run_is_prolonged_loses_nothing(
    windows_run: Path, longer: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(1, 30):
        shutil.rmtree(run)
        shutil.copytree(windows_run, run)
        with pytest.MonkeyPatch.context() as patch:
            KilledAt(patch, at)
            patch.setattr(run_module._Run, "train", untrained)
            try:
                train(run, WINDOWS.lasting(5), resume=True)
            except Killed:
                pass
            else:
                break
        for units in (3, 5) if at % 2 else (5,):  # back to the shorter one first, every other time
            assert train(run, WINDOWS.lasting(units), resume=True) == "completed"
        assert (run / "metrics.jsonl").read_bytes() == (longer / "metrics.jsonl").read_bytes()
        assert not list(run.glob("metrics-*"))
    assert 5 < at < 29


def test_records_that_are_not_the_runs_own_do_not_pass_for_a_longer_one(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    record = json.loads(lines[0])
    text = json.dumps(record["signals"]["reach"]["ptr"])
    damaged = lines[0].replace(text, text[:6] + str((int(text[6]) + 1) % 10) + text[7:])
    (run / "metrics.jsonl").write_text("\n".join([damaged, *lines[1:]]) + "\n")
    error = refused(run, WINDOWS.lasting(5), resume=True)
    assert "the run's records hold a `reach` of `ptr`" in error.message


def test_a_run_is_known_by_its_recipe_with_each_of_its_budgets(run: Path) -> None:
    train(run, WINDOWS.lasting(4), resume=True, stop=StopAfter(1))
    content = checkpoint.load(run / "checkpoints" / "last.pt")
    assert content["recipe_hash"] == run_json(run)["recipe_hash"] == recipe_hash(WINDOWS.lasting(4))
