from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtctl.engine import directory, layout
from mtctl.engine.directory import RunDirectory, held
from mtctl.errors import MtctlError
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
    place = run_directory(tmp_path)
    place.acquire()
    place.clear()
    assert [entry.name for entry in place.path.iterdir()] == [layout.LOCK]
    with pytest.raises(MtctlError):
        RunDirectory(place.path).acquire()
    place.release()


def test_clear_follows_no_links(tmp_path: Path) -> None:
    place = run_directory(tmp_path)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years")
    (place.path / "tb").symlink_to(precious)
    place.clear()
    assert (precious / "thesis.tex").read_text() == "years"
    assert not (place.path / "tb").exists()


@pytest.mark.parametrize("name", ["thesis.tex", "recipe.txt"])
def test_clear_refuses_what_is_no_run(tmp_path: Path, name: str) -> None:
    place = RunDirectory(tmp_path)
    (tmp_path / name).write_text("years")
    with pytest.raises(MtctlError, match="files that are not a run"):
        place.clear()
    assert (tmp_path / name).read_text() == "years"


@pytest.mark.parametrize(
    "left", [["metrics.jsonl"], ["metrics.jsonl", "recipe.yaml", "checkpoints", ".run.json.tmp"]]
)
def test_clear_takes_what_a_run_has_left_that_was_killed_at_once(tmp_path: Path, left: list[str]) -> None:
    place = RunDirectory(tmp_path)
    for name in left:
        (tmp_path / name).mkdir() if name == "checkpoints" else (tmp_path / name).write_text("")
    place.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_seen_without_being_taken(tmp_path: Path) -> None:
    assert not held(tmp_path / "run")
    place = RunDirectory(tmp_path / "run")
    place.acquire()
    assert held(place.path)
    place.release()
    assert not held(place.path)
    assert tree(tmp_path).keys() == {"run/lock"}


def test_one_who_looks_does_not_refuse_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`held` has the lock for an instant: a run that begins just then tries again."""
    place = RunDirectory(tmp_path / "run")
    tries = iter([False, False, True])
    monkeypatch.setattr(directory, "_try_lock", lambda _file: next(tries))
    place.acquire()
    place.release()
