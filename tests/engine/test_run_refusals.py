"""What a run is refused for, and what is left of it when it fails: nothing is written, nothing lost."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtctl.engine import checkpoint
from mtctl.engine.directory import RunDirectory
from mtctl.engine.metrics import MetricsFile
from mtctl.errors import ExitCode, MtctlError
from tests.engine.runs import (
    StopAfter,
    assert_same_training,
    recipe,
    run_json,
    train,
    tree,
)


def refused(directory: Path, *arguments: Any, **options: Any) -> MtctlError:
    """Return the refusal to train, which must leave every file as it was."""
    before = tree(directory)
    with pytest.raises(MtctlError) as caught:
        train(directory, *arguments, **options)
    assert tree(directory) == before
    assert caught.value.code == ExitCode.USAGE
    assert caught.value.hint
    return caught.value


def test_a_run_is_not_overwritten(finished: Path) -> None:
    error = refused(finished)
    assert "already holds a run (completed)" in error.message


def test_resuming_with_a_changed_recipe_names_the_fields(finished: Path) -> None:
    error = refused(finished, recipe("equal_blind", "agent.lr=0.1", "agent.double=false"), resume=True)
    assert "agent.lr: 0.001 in the run, 0.1 now" in error.message
    assert "agent.double" in error.message
    assert error.message.count("in the run") == 2


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    train(tmp_path / "run", stop=StopAfter(3))
    return tmp_path / "run"


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_resuming_from_a_damaged_checkpoint(interrupted: Path, damage: str) -> None:
    path = interrupted / "checkpoints" / "last.pt"
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-100], "empty": b"", "text": b"nothing to see here"}[damage])
    assert "corrupt, truncated or not a checkpoint" in refused(interrupted, resume=True).message


def test_resuming_from_a_policy_or_another_seeds_checkpoint(interrupted: Path, tmp_path: Path) -> None:
    path = interrupted / "checkpoints" / "last.pt"
    path.write_bytes((interrupted / "checkpoints" / "ep0002.pt").read_bytes())
    assert "holds a policy only" in refused(interrupted, resume=True).message
    train(tmp_path / "other", seed=4, stop=StopAfter(1))
    path.write_bytes((tmp_path / "other" / "checkpoints" / "last.pt").read_bytes())
    assert "made with seed 4, not 0" in refused(interrupted, resume=True).message


def test_resuming_after_the_tasks_have_changed(interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtctl.problems.lander import environments, tasks

    changed = {**tasks.TASKS, "heavy": tasks.TaskDefinition(time_limit=800, gravity=-13.0)}
    monkeypatch.setattr(environments, "TASKS", changed)
    assert "tasks were defined differently" in refused(interrupted, resume=True).message


def test_resuming_without_its_metrics(interrupted: Path) -> None:
    (interrupted / "metrics.jsonl").unlink()
    assert "shorter than when the checkpoint was saved" in refused(interrupted, resume=True).message


def test_resuming_without_its_recipe(interrupted: Path) -> None:
    (interrupted / "recipe.yaml").unlink()
    assert "no recipe.yaml to resume from" in refused(interrupted, resume=True).message


def test_a_run_that_is_being_made_is_left_alone(interrupted: Path) -> None:
    other = RunDirectory(interrupted)
    other.acquire()
    assert "another process is training this run" in refused(interrupted, resume=True).message
    assert "another process is training this run" in refused(interrupted, force=True).message
    other.release()


def test_force_replaces_a_run_and_only_a_run(interrupted: Path, finished: Path, tmp_path: Path) -> None:
    (interrupted / "checkpoints" / "ep9999.pt").write_bytes(b"old")
    assert train(interrupted, force=True) == "completed"
    assert_same_training(interrupted, finished)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years")
    assert "files that are not a run" in refused(tmp_path / "thesis", force=True).message


def test_divergence_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    """Steps of 1e30 blow up in the second update, long after episode 2 was saved."""
    late = recipe("gradnorm_blind", "agent.lr=1e30", "agent.replay.learning_starts=100")
    with pytest.raises(MtctlError, match=r"diverged in episode \d+, step \d+: task `\w+` has loss") as caught:
        train(tmp_path, late)
    assert caught.value.code == ExitCode.FAILED
    found = run_json(tmp_path)
    assert found["status"] == "failed"
    assert found["error"]["message"] == caught.value.message
    kept = checkpoint.load(tmp_path / "checkpoints" / "last.pt")
    assert kept["done"] >= 2
    assert kept["policy"]["parameters"].isfinite().all()
    # The same mistake again, from the checkpoint: the same end.
    with pytest.raises(MtctlError, match="diverged in episode") as again:
        train(tmp_path, late, resume=True)
    assert again.value.message == caught.value.message


class FullDisk:
    """Stands in for a disk without room for checkpoints."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.full = False
        synchronise = os.fsync

        def fsync(descriptor: int) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            synchronise(descriptor)

        patch.setattr(os, "fsync", fsync)


def test_a_disk_that_fills_up(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch)

    class FillsUp:
        def unit_ended(self, record: dict[str, Any]) -> None:
            disk.full = record["unit"] == 3

    with pytest.raises(MtctlError, match="no space left on the device") as caught:
        train(tmp_path, observers=[FillsUp()])
    assert caught.value.code == ExitCode.USAGE
    assert "--resume" in str(caught.value.hint)
    assert not list(tmp_path.rglob("*.tmp"))
    assert checkpoint.load(tmp_path / "checkpoints" / "last.pt")["done"] == 2
    disk.full = False
    assert train(tmp_path, resume=True) == "completed"
    assert_same_training(tmp_path, finished)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 KB: room for the first checkpoints' policy, not for replay."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk(tiny_disk: Path) -> None:
    with pytest.raises(MtctlError, match="no space left on the device"):
        train(tiny_disk / "run", recipe("equal_blind", "problem.episodes_per_task=20"))
    path = tiny_disk / "run" / "checkpoints" / "last.pt"
    assert not path.exists() or checkpoint.load(path)["done"] >= 2


def test_a_target_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file" / "run", tmp_path / "file"):
        before = tree(tmp_path)
        with pytest.raises(MtctlError, match=r"file.*: (cannot be written|not a directory)") as caught:
            train(directory)
        assert caught.value.code == ExitCode.USAGE
        assert tree(tmp_path) == before


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that takes no files")
def test_a_target_in_a_file_system_that_takes_no_files() -> None:
    with pytest.raises(MtctlError, match=r"/proc/mtctl.*cannot be written"):
        train(Path("/proc/mtctl/run"))


def test_metrics_are_flushed_before_a_checkpoint_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a checkpoint covers is on disk before the checkpoint is."""
    order: list[str] = []
    save, sync = checkpoint.save, MetricsFile.sync

    def saving(path: Path, content: dict[str, Any]) -> None:
        order.append(path.stem)
        save(path, content)

    def syncing(file: MetricsFile) -> int:
        order.append("metrics")
        return sync(file)

    monkeypatch.setattr(checkpoint, "save", saving)
    monkeypatch.setattr(MetricsFile, "sync", syncing)
    train(tmp_path, recipe("equal_blind", "problem.episodes_per_task=1", "evaluation.every=0"))
    assert order == ["ep0002", "metrics", "last", "metrics", "last"]
