from __future__ import annotations

import errno
import json
import os
import platform
from pathlib import Path
from typing import IO

import pytest

from mtctl.engine import layout, lock
from mtctl.engine.directory import RunDirectory
from mtctl.engine.lock import Holder, holder
from mtctl.errors import MtctlError
from mtctl.recipes.loading import dump, load
from tests.engine.runs import tree


def run_directory(tmp_path: Path) -> RunDirectory:
    """Return a directory that holds an earlier run."""
    place = RunDirectory(tmp_path / "results" / "name" / "seed0")
    place.acquire()
    place.prepare("name: name\n", "mtctl train name.yaml")
    place.write(layout.RUN, {"status": "completed", "name": "ä"})
    place.metrics.write_text("{}\n")
    place.checkpoint("last").write_bytes(b"tensors")
    place.release()
    return place


def test_layout(tmp_path: Path) -> None:
    place = run_directory(tmp_path)
    assert (place.path / "recipe.yaml").read_text() == "# mtctl train name.yaml\nname: name\n"
    assert json.loads((place.path / "run.json").read_text(encoding="utf-8"))["name"] == "ä"
    assert place.checkpoint("ep0100") == place.path / "checkpoints" / "ep0100.pt"


def test_only_a_lock_is_no_use(tmp_path: Path) -> None:
    place = RunDirectory(tmp_path / "run")
    assert not place.used
    place.acquire()
    assert not place.used
    place.release()
    assert run_directory(tmp_path).used


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first, second = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run")
    first.acquire()
    with pytest.raises(MtctlError, match="another process is training this run"):
        second.acquire()
    second.release()  # which does not free what it does not hold
    with pytest.raises(MtctlError):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_forgotten_lock_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / layout.LOCK).write_bytes(b"")
    place = RunDirectory(tmp_path / "run")
    place.acquire()
    place.release()


def test_a_probe_leaves_no_trace(tmp_path: Path) -> None:
    place = RunDirectory(tmp_path / "results" / "name" / "seed0")
    place.probe()
    assert list(tmp_path.iterdir()) == []
    place.acquire()
    with pytest.raises(MtctlError, match="another process"):
        RunDirectory(place.path).probe()
    assert place.path.exists()
    place.release()


def test_clear_removes_a_run_and_keeps_the_lock(tmp_path: Path) -> None:
    """And run.json and the recipe, which are of the run that has begun by now."""
    place = run_directory(tmp_path)
    place.acquire()
    assert place.clear() == []
    assert tree(place.path).keys() == {layout.LOCK, layout.RUN, layout.RECIPE}
    with pytest.raises(MtctlError):
        RunDirectory(place.path).acquire()
    place.release()


OURS = (
    "metrics.jsonl", "eval.json", "eval-best.json", "eval-ep0100.json", ".run.json.tmp",
    ".eval.json.x7_q-1.tmp", f"metrics-{'0a' * 32}.jsonl", "checkpoints/last.pt", "checkpoints/best.pt",
    "checkpoints/ep0100.pt", "checkpoints/ep12345.pt", "checkpoints/.last.pt.tmp",
)  # fmt: skip
THEIRS = (
    "notes.txt", "figures/plot.png", "eval-my.json", "metrics-old.jsonl", "recipe.yaml.orig", "last.pt",
    ".notes.txt.tmp", "checkpoints/my.pt", "checkpoints/ep1.pt", "checkpoints/ep0100.pt.bak",
    "checkpoints/run.json",
)  # fmt: skip


def test_clear_removes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    place = run_directory(tmp_path)
    for name in (*OURS, *THEIRS):
        (place.path / name).parent.mkdir(exist_ok=True)
        (place.path / name).write_text(name)
    kept = place.clear()
    assert tree(place.path).keys() == {layout.LOCK, layout.RUN, layout.RECIPE, *THEIRS}
    assert set(kept) == {"figures/" if name.startswith("figures") else name for name in THEIRS}


def test_a_file_in_the_place_of_events_is_somebody_elses(tmp_path: Path) -> None:
    place = RunDirectory(tmp_path / "run")
    (tmp_path / "run" / "tb").mkdir(parents=True)
    assert not place.used
    (tmp_path / "run" / "tb").rmdir()
    (tmp_path / "run" / "tb").write_text("mine")
    assert place.used


def test_clear_follows_no_links(tmp_path: Path) -> None:
    place = run_directory(tmp_path)
    precious, disk = tmp_path / "precious", tmp_path / "disk"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years")
    (place.path / "tb").symlink_to(precious)
    (place.path / "eval.json").symlink_to(precious / "thesis.tex")
    (place.path / "eval-best.json").symlink_to(precious)
    place.checkpoints.rename(disk)
    (disk / "my.pt").write_text("mine")
    place.checkpoints.symlink_to(disk)
    assert place.clear() == ["tb/", "checkpoints/my.pt"]
    assert tree(precious) == {"thesis.tex": b"years"}
    assert (place.path / "tb").is_symlink()
    assert not (place.path / "eval.json").is_symlink()
    assert not (place.path / "eval-best.json").is_symlink()
    assert place.checkpoints.is_symlink()
    assert tree(disk) == {"my.pt": b"mine"}


@pytest.mark.parametrize("name", ["thesis.tex", "recipe.txt", "recipe.yaml", "checkpoints/my.pt"])
def test_what_is_no_run_is_refused_and_named(tmp_path: Path, name: str) -> None:
    place = RunDirectory(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("years")
    with pytest.raises(MtctlError, match=f"holds files that are not a run: {name}"):
        place.refuse_foreign()


@pytest.mark.parametrize(
    "left",
    [["metrics.jsonl"], ["metrics.jsonl", "recipe.yaml", "checkpoints", ".run.json.tmp"], ["run.json"]],
)
def test_what_a_run_has_left_that_was_killed_at_once_is_a_run(tmp_path: Path, left: list[str]) -> None:
    place = RunDirectory(tmp_path)
    for name in left:
        (tmp_path / name).mkdir() if name == "checkpoints" else (tmp_path / name).write_text("")
    place.refuse_foreign()
    place.clear()
    assert tree(tmp_path).keys() <= {"run.json", "recipe.yaml"}


@pytest.mark.parametrize("there", [False, True], ids=["empty", "link"])
def test_a_place_for_checkpoints_alone_is_no_run(tmp_path: Path, there: bool) -> None:
    place = RunDirectory(tmp_path / "run")
    place.path.mkdir()
    (tmp_path / "disk").mkdir()
    place.checkpoints.symlink_to(tmp_path / "disk") if there else place.checkpoints.mkdir()
    assert not place.used
    place.refuse_broken_link()


def test_checkpoints_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    place = run_directory(tmp_path)
    place.checkpoints.rename(tmp_path / "away")
    place.checkpoints.symlink_to(tmp_path / "disk")
    with pytest.raises(MtctlError, match=r"checkpoints: links to .*disk, which does not exist"):
        place.refuse_broken_link()


@pytest.mark.parametrize(
    "command",
    ["mtctl train a\nb", "x\x1b[2J", "\x7f", "a\u2028b\x85", "\udcff", "\t", "ü \N{SNOWMAN}", "\ufeff"],
)
def test_any_command_can_be_stored(tmp_path: Path, command: str) -> None:
    place = RunDirectory(tmp_path)
    place.prepare(dump(load("equal_blind")), command)
    text = (tmp_path / "recipe.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0].isprintable()
    assert load(tmp_path / "recipe.yaml") == load("equal_blind")


def test_a_lock_is_seen_without_being_taken(tmp_path: Path) -> None:
    assert holder(tmp_path / "run").state == "free"
    place = RunDirectory(tmp_path / "run")
    place.acquire()
    assert holder(place.path).state == "held"
    place.release()
    assert holder(place.path).state == "free"
    assert tree(tmp_path).keys() == {"run/lock"}


def test_one_who_looks_does_not_refuse_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`holder` has the lock for an instant: a run that begins just then tries again."""
    place = RunDirectory(tmp_path / "run")
    tries = iter([False, False, True])
    monkeypatch.setattr(lock, "try_lock", lambda _file: next(tries))
    place.acquire()
    place.release()


def test_who_waits_for_a_lock_that_is_removed_gets_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe removes the file that it has made: who opened that file before must not hold it for good."""
    late, other = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run")
    take = lock.try_lock

    def slow(file: IO[bytes]) -> bool:
        """Between opening the file and locking it, another process probes and leaves no trace."""
        monkeypatch.setattr(lock, "try_lock", take)
        (tmp_path / "run" / layout.LOCK).unlink()
        return take(file)

    monkeypatch.setattr(lock, "try_lock", slow)
    late.acquire()
    with pytest.raises(MtctlError, match="another process"):
        other.acquire()
    assert (tmp_path / "run" / layout.LOCK).exists()
    late.release()


def test_a_probe_holds_the_lock_while_it_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, states = RunDirectory(tmp_path / "run"), []
    unlink = Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:
        states.append(holder(place.path).state)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    place.probe()
    assert states == ["held"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_names_its_process(tmp_path: Path) -> None:
    place = RunDirectory(tmp_path / "run")
    assert holder(place.path) == Holder("free")
    place.acquire()
    assert holder(place.path) == Holder("held", os.getpid(), platform.node())
    with pytest.raises(MtctlError, match=rf"another process is training this run \(process {os.getpid()}\)"):
        RunDirectory(place.path).acquire()
    place.release()
    assert holder(place.path).state == "free"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("", "free"),
        (f"4194303 {platform.node()}\n", "free"),
        ("17 elsewhere\n", "unknown"),
        ("\xff\xfe", "free"),
    ],
)
def test_a_lock_that_nobody_here_holds(tmp_path: Path, text: str, state: str) -> None:
    """A killed process leaves its name; of another computer's, this one may not see the lock."""
    (tmp_path / layout.LOCK).write_text(text)
    assert holder(tmp_path).state == state


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: object) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "try_lock", refuse)
    monkeypatch.setattr(lock, "try_share", refuse)
    (tmp_path / layout.LOCK).write_text("")
    assert holder(tmp_path).state == "unknown"
    with pytest.raises(MtctlError, match="does not lock files \\(No locks available\\)"):
        RunDirectory(tmp_path).acquire()


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / layout.LOCK).symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(MtctlError, match="lock is a link"):
        RunDirectory(tmp_path / "run").acquire()
    assert holder(tmp_path / "run").state == "unknown"
    assert (tmp_path / "thesis.tex").read_text() == "years"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_who_looks_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / layout.LOCK)
    assert holder(tmp_path).state in ("free", "unknown")


def test_runs_copied_by_hard_links_have_locks_of_their_own(tmp_path: Path) -> None:
    one, other = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "other")
    one.acquire()
    one.release()
    other.path.mkdir()
    (other.path / layout.LOCK).hardlink_to(one.path / layout.LOCK)
    one.acquire()
    other.acquire()
    assert holder(one.path).state == holder(other.path).state == "held"
    one.release()
    other.release()
