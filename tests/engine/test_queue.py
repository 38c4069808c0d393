"""Runs that a process announces, and what is left of them when it is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mtctl.engine.launch.queue import queue, queued
from mtctl.following.runs import Following
from mtctl.screens.watch import summary, watch_screen
from tests.cli.watched import under_way
from tests.screens.snapshots import render


def test_runs_are_queued_while_their_process_lives(tmp_path: Path) -> None:
    runs = [tmp_path / "a" / "seed0", tmp_path / "b" / "seed1"]
    with queue(tmp_path, runs):
        assert list(queued(tmp_path)) == runs
    assert list(queued(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_announced_is_not_waited_for(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from mtctl.engine.launch.queue import queue
root = Path(sys.argv[1])
with queue(root, [root / "a" / "seed0"]):
    os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    assert list(queued(tmp_path)) == []


def test_what_cannot_be_announced_is_trained_all_the_same(tmp_path: Path) -> None:
    with queue(tmp_path / "nowhere", [tmp_path / "nowhere" / "a" / "seed0"]):
        pass
    (tmp_path / ".queue-1").write_text('[["..", "seed0"], 3, ["a"]]')
    (tmp_path / ".queue-2").mkdir()
    assert list(queued(tmp_path)) == []


def test_the_watch_shows_and_awaits_queued_runs(tmp_path: Path) -> None:
    with (
        under_way(tmp_path, "gradnorm_blind", 0) as run,
        queue(tmp_path, [run.path, tmp_path / "gradnorm_blind" / "seed1"]),
    ):
        following = Following([tmp_path / "gradnorm_blind"])
        following.look()
        assert [each.status for each in following.runs] == ["running", "queued"]
        assert len(following.under_way) == 2
        assert summary(following.runs, None).startswith("1 under way · 1 queued")
        assert "seed1" in render(watch_screen(following.runs, None), width=80)
    following.look()
    assert [each.path.name for each in following.runs] == ["seed0"]
