"""Runs followed from their directories: how they are, whatever becomes of their files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtctl.engine.directory import RunDirectory
from mtctl.errors import MtctlError
from mtctl.following import progress
from mtctl.following.runs import Followed, Following
from mtctl.history.decoding import decode_records
from mtctl.screens.watch import watch_screen
from tests.cli.watched import UnderWay, under_way
from tests.engine.runs import tree
from tests.history.runs_factory import records, write_run
from tests.screens.snapshots import render

UNKNOWN_TASK = json.dumps(records(1)[0] | {"tasks": {"calm": {"return": 1.0}}})
Start = Callable[..., UnderWay]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a run in tmp_path."""
    with ExitStack() as runs:
        yield lambda *arguments, **options: runs.enter_context(under_way(tmp_path, *arguments, **options))


def look(run: Followed) -> tuple[str, int]:
    run.look()
    return run.status, 0 if run.progress is None else run.progress.done


def test_a_run_from_its_start_to_its_end(start: Start) -> None:
    run = start()
    followed = Followed(run.path)
    assert look(followed) == ("running", 0)
    run.play([1.0])
    assert look(followed) == ("running", 50)
    run.play([1.0, 2.0, 3.0])
    assert look(followed) == ("running", 150)
    assert followed.progress is not None
    assert followed.progress.evaluations == [(50, 1.0), (100, 2.0), (150, 3.0)]
    before = tree(run.path)
    run.end("completed")
    assert look(followed) == ("done", 150)
    after = tree(run.path)
    assert {name for name in before if before[name] != after[name]} == {"run.json"}


@pytest.mark.parametrize(
    ("status", "changes", "why"),
    [("interrupted", {}, ""), ("failed", {"error": {"message": "loss is NaN"}}, "loss is NaN")],
)
def test_how_a_run_ends(start: Start, status: str, changes: dict[str, Any], why: str) -> None:
    run = start()
    followed = Followed(run.path)
    followed.look()
    run.end(status, **changes)
    followed.look()
    assert (followed.status, followed.why, followed.under_way) == (status, why, False)


def test_a_run_that_is_killed_is_not_waited_for(start: Start) -> None:
    run = start()
    run.play([1.0])
    followed = Followed(run.path)
    assert look(followed) == ("running", 50)
    run.die()
    assert look(followed) == ("stopped", 50)
    assert not followed.under_way


def test_a_run_without_run_json(tmp_path: Path) -> None:
    """It exists a moment after the lock; without a lock nobody will write it."""
    path = write_run(tmp_path)
    (path / "run.json").unlink()
    place, followed = RunDirectory(path), Followed(path)
    assert look(followed) == ("stopped", 0)
    place.acquire()
    assert look(followed) == ("starting", 0)
    assert followed.under_way
    place.release()


def test_a_half_written_line_is_waited_for(start: Start) -> None:
    run = start()
    followed = Followed(run.path)
    run.play([1.0])
    whole = run.metrics.read_bytes()
    run.metrics.write_bytes(whole[:-20])
    assert look(followed) == ("running", 50)
    assert followed.progress is not None
    assert followed.progress.evaluations == []
    run.metrics.write_bytes(whole)
    followed.look()
    assert followed.progress.evaluations == [(50, 1.0)]


def test_a_run_that_goes_back_to_a_checkpoint(start: Start) -> None:
    run = start()
    followed = Followed(run.path)
    run.play([1.0, 2.0])
    assert look(followed) == ("running", 100)
    run.end("interrupted")
    assert look(followed) == ("interrupted", 100)
    place = RunDirectory(run.path)
    place.acquire()
    assert look(followed) == ("starting", 100)
    run.play([1.0])
    run.describe(status="running")
    assert look(followed) == ("running", 50)
    assert followed.progress is not None
    assert followed.progress.evaluations == [(50, 1.0)]
    place.release()


def test_a_run_that_begins_anew(start: Start) -> None:
    run = start()
    followed = Followed(run.path)
    run.play([1.0])
    followed.look()
    run.describe(started="2026-02-01T12:00:00+00:00")
    run.play([5.0, 6.0])
    assert look(followed) == ("running", 100)
    assert followed.progress is not None
    assert followed.progress.evaluations == [(50, 5.0), (100, 6.0)]
    assert len(followed.progress.tasks["standard"].history) == 100


@pytest.mark.parametrize("line", ['{"kind": "unit"}', "[1]", "{", "\xff", "9" * 5000, UNKNOWN_TASK])
def test_records_that_are_none(start: Start, line: str) -> None:
    run = start()
    followed = Followed(run.path)
    run.play([1.0])
    with run.metrics.open("a") as file:
        file.write(line + "\n")
    for _ in range(2):
        followed.look()
        assert followed.status == "unreadable"
        assert f"{run.metrics}:52" in followed.why
        assert not followed.under_way
    run.describe(started="2026-02-01T12:00:00+00:00")
    run.play([1.0])
    assert look(followed) == ("running", 50)


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}'])
def test_a_run_json_that_is_none(start: Start, content: str) -> None:
    run = start()
    followed = Followed(run.path)
    (run.path / "run.json").write_text(content)
    followed.look()
    assert (followed.status, followed.progress) == ("unreadable", None)
    assert "run.json" in followed.why


def test_runs_are_found_as_they_appear(tmp_path: Path, start: Start) -> None:
    following = Following([tmp_path])
    following.look()
    assert following.runs == following.under_way == []
    first = start(seed=1)
    following.look()
    (known,) = following.runs
    second = start(seed=0)
    following.look()
    assert [run.path for run in following.runs] == [second.path, first.path]
    assert following.runs[1] is known
    first.end("completed")
    following.look()
    assert following.under_way == [following.runs[0]]
    shutil.rmtree(second.path)
    following.look()
    assert following.runs == [known]


def test_a_folder_that_goes_away_is_bad_for_none(tmp_path: Path, start: Start) -> None:
    run = start()
    following = Following([tmp_path / "gradnorm_blind"])
    following.look()
    run.die()
    shutil.rmtree(tmp_path / "gradnorm_blind")
    following.look()
    assert [one.status for one in following.runs] == ["stopped"]


def test_paths_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file"):
        with pytest.raises(MtctlError, match=name):
            Following([tmp_path / name])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_is_told_or_harmless(start: Start, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever happens to a byte: a run that is shown, or one that is said to be unreadable."""
    path = tmp_path / "gradnorm_blind" / "seed0"
    if not path.exists():
        start().play([1.0])
    file = path / data.draw(st.sampled_from(["run.json", "metrics.jsonl"]))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.sampled_from([b"9", b"e", b"-", b"x", b"", b"\n", b"null"]))
    try:
        file.write_bytes(whole[:place] + new + whole[place + 1 :])
        run = Followed(path)
        run.look()
        text = render(watch_screen([run], None), width=80)
        assert ("unreadable" in text) == (run.status == "unreadable")
    finally:
        file.write_bytes(whole)


def test_only_what_is_new_is_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start()
    run.play([1.0, 2.0])
    followed = Followed(run.path)
    followed.look()
    parsed: list[bytes] = []

    def counted(content: bytes, *rest: Any, **options: Any) -> Any:
        parsed.extend(content.splitlines())
        return decode_records(content, *rest, **options)

    monkeypatch.setattr(progress, "decode_records", counted)
    followed.look()
    assert parsed == []
    run.play([1.0, 2.0, 3.0])
    followed.look()
    assert len(parsed) == 51
