"""`mtctl compare --watch` beside trainings that really go on, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.command import ROOT, episodes, finish, mtctl, overrides, start, wait_until
from tests.engine.runs import run_json

# The pause between two runs of one command is for a person's patience, not for a test's.
WATCH = "import mtctl.cli.watch as watch; watch.PAUSE_SECONDS = 5.0; from mtctl.cli.app import main; main()"


def start_watching(cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WATCH, "compare", "results", "--watch", "--interval", "0.1"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def test_two_runs_are_followed_while_one_is_killed(tmp_path: Path) -> None:
    """A run whose process was killed is not waited for; Ctrl-C ends the watch and nothing else."""
    (tmp_path / "results").mkdir()
    patient = start_watching(tmp_path)
    # The one that is killed would go on for long.
    lengths = {"shared_blind": 6, "gradnorm_blind": 2000}
    names = tuple(lengths)
    trainings = [
        start("train", name, *overrides(f"problem.episodes_per_task={length}"), cwd=tmp_path)
        for name, length in lengths.items()
    ]
    places = [tmp_path / "results" / name / "seed0" for name in names]
    for training, place in zip(trainings, places, strict=True):
        wait_until(lambda place=place: episodes(place) >= 1, training)  # type: ignore[misc]
    leaving = start_watching(tmp_path)
    assert leaving.stderr is not None
    first = leaving.stderr.readline() + leaving.stderr.readline()
    assert all(f"results/{name}/seed0 " in first for name in names)
    leaving.send_signal(signal.SIGINT)
    trainings[1].kill()
    left, killed, trained = finish(leaving), finish(trainings[1]), finish(trainings[0])
    assert (left.code, left.out, trained.code) == (130, "", 0)
    assert left.err.endswith("stopped watching; the runs go on\n")
    assert killed.code == -signal.SIGKILL
    watched = finish(patient)
    assert watched.code == 0
    lines = watched.err.splitlines()
    assert lines[0].startswith("waiting for the first run")
    own = [line for line in lines if line.startswith("results/shared_blind/seed0 ")]
    assert any("episode" in line and "/18  standard" in line for line in own)
    assert own[-1] == "results/shared_blind/seed0 done"
    gone = "stopped: its process ended without an error message (killed?); --resume continues it"
    assert f"results/gradnorm_blind/seed0 {gone}" in lines
    assert "left out: results/gradnorm_blind/seed0 ended without an error message (killed?)" in watched.err
    assert watched.out == mtctl("compare", "results", cwd=tmp_path).out
    assert [run_json(place)["status"] for place in places] == ["completed", "running"]
