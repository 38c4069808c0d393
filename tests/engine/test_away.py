"""Runs that are trained away from their directory, and what is brought back of them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtctl.engine.launch.away import Away, Change, Changes, Look, Mirror, write
from mtctl.engine.result import result_from_json
from mtctl.engine.spec import RunSpec, spec_to_json
from mtctl.errors import MtctlError
from mtctl.recipes.loading import dump
from tests.engine.runs import WINDOWS, StopAfter, assert_same_training, recipe, run_json, train, tree

LONG = WINDOWS.revised({"training.epochs": 9})


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    return RunSpec(LONG, 0, tmp_path / "here" / "seed0", "mtctl train equal_blind")


def mirrored(changes: Changes, mirror: Mirror) -> list[str]:
    """Bring what is new; return the names."""
    found = changes.take()
    mirror.apply(found)
    return [change.name for change in found]


def test_what_changes_is_brought_back_as_it_is(tmp_path: Path, spec: RunSpec) -> None:
    there = tmp_path / "there"
    changes, mirror = Changes(there), Mirror(spec)
    assert mirrored(changes, mirror) == []
    train(there, LONG, stop=StopAfter(4))
    assert mirrored(changes, mirror)[0] == "metrics.jsonl"
    assert mirrored(changes, mirror) == []
    before = (there / "metrics.jsonl").stat().st_size
    train(there, LONG, resume=True)
    found = changes.take()
    assert [change.name for change in found][-1] == "run.json"
    (records,) = [change for change in found if change.name == "metrics.jsonl"]
    assert records.offset == before
    mirror.apply(found)
    mirror.close()
    assert_same_training(there, spec.directory)


def test_logs_are_brought_along(tmp_path: Path, spec: RunSpec) -> None:
    there = tmp_path / "there"
    changes, mirror = Changes(there), Mirror(spec)
    train(there, WINDOWS.revised({"logging": ["tensorboard", "csv"]}))
    mirrored(changes, mirror)
    mirror.close()
    for name in ("scalars.csv", next((there / "tb").iterdir()).relative_to(there)):
        assert (spec.directory / name).read_bytes() == (there / name).read_bytes()


def test_records_that_were_taken_back_or_replaced(tmp_path: Path, spec: RunSpec) -> None:
    there, mirror = tmp_path / "there", Mirror(spec)
    changes, here = Changes(there), spec.directory / "metrics.jsonl"
    there.mkdir()
    (there / "run.json").write_text("{}")
    file = there / "metrics.jsonl"
    for text in (b"one\ntwo\n", b"one\n", b"one\ntwo\nthree\n"):
        with file.open("r+b" if file.exists() else "wb") as opened:
            opened.truncate(0)
            opened.write(text)
        mirrored(changes, mirror)
        assert here.read_bytes() == text
    (there / "new").write_bytes(b"other\n" * 9)
    (there / "new").replace(file)
    mirrored(changes, mirror)
    assert here.read_bytes() == b"other\n" * 9
    (there / "eval.json").write_text("{}")
    mirrored(changes, mirror)
    assert (spec.directory / "eval.json").exists()
    (there / "eval.json").unlink()
    mirrored(changes, mirror)
    assert not (spec.directory / "eval.json").exists()
    (there / "notes.txt").write_text("x")
    (there / ".run.json.0a.tmp").write_text("x")
    assert mirrored(changes, mirror) == []
    mirror.close()


def test_an_earlier_run_stays_until_the_new_one_begins(tmp_path: Path, spec: RunSpec) -> None:
    train(spec.directory, recipe())
    before, there = tree(spec.directory), tmp_path / "there"
    mirror, changes = Mirror(spec), Changes(there)
    assert mirror.files() == []
    mirror.apply(changes.take())
    assert tree(spec.directory) == before
    train(there, LONG)
    mirrored(changes, mirror)
    mirror.close()
    assert_same_training(there, spec.directory)


def test_a_place_that_another_process_has(spec: RunSpec) -> None:
    mirror = Mirror(spec)
    with pytest.raises(MtctlError, match="another process is training"):
        Mirror(spec)
    mirror.close()


@pytest.fixture
def lost(spec: RunSpec) -> Iterator[Mirror]:
    """Return the place of a run whose machine was lost when it had saved four units."""
    there = spec.directory.parent / "there"
    mirror, changes = Mirror(spec), Changes(there)
    train(there, LONG, stop=StopAfter(4))
    mirror.apply(changes.take())
    shutil.rmtree(there)
    yield mirror
    mirror.close()


def ended(away: Away, mirror: Mirror) -> Look:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        look = away.look()
        mirror.apply(look.changes)
        if look.result is not None:
            return look
        time.sleep(0.05)
    raise AssertionError("it has not ended")


def test_a_run_goes_on_elsewhere(tmp_path: Path, spec: RunSpec, lost: Mirror) -> None:
    """By a process of its own there, from the checkpoint that was brought here."""
    files = lost.files()
    assert {change.name for change in files} == {
        "run.json", "recipe.yaml", "metrics.jsonl", "checkpoints/last.pt",
    }  # fmt: skip
    away = Away(spec_to_json(spec), str(Path.cwd()))
    away.start(files)
    look = ended(away, lost)
    assert result_from_json(look.result or "").done == 9
    away.leave()
    train(tmp_path / "whole", LONG)
    assert_same_training(tmp_path / "whole", spec.directory)


def test_what_is_said_there_names_the_place_here(tmp_path: Path, spec: RunSpec) -> None:
    """And a machine that sees the place trains in it."""
    mirror = Mirror(spec)
    changed = LONG.revised({"training.batch_size": 4})
    bad = [Change("run.json", b"{}"), Change("recipe.yaml", dump(changed).encode())]
    away = Away(spec_to_json(spec), str(tmp_path))
    away.start(bad)
    error = result_from_json(ended(away, mirror).result or "").error
    assert error is not None
    assert error.message.startswith(f"{spec.directory}: ")
    away.leave()
    mirror.close()
    write(spec.directory, [Change("run.json", json.dumps({"status": "failed"}).encode())])
    away = Away(spec_to_json(RunSpec(WINDOWS, 0, spec.directory, force=True)), str(tmp_path))
    away.start(None)
    while (look := away.look()).result is None:
        assert look.changes == []
        time.sleep(0.05)
    away.leave()
    assert run_json(spec.directory)["status"] == "completed"
