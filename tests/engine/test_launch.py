"""The local launcher, with processes that are quicker than training."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtctl.engine.launch.local import Job, exit_code, launch
from mtctl.errors import ExitCode

SLOW = "import time; time.sleep(3600)"
# Ends as a training run does that is asked to stop: with 130, after having saved.
PATIENT = """
import pathlib, signal, sys, time
def leave(*_): pathlib.Path(sys.argv[1], 'saved').touch(); sys.exit(130)
signal.signal(signal.SIGINT, leave)
pathlib.Path(sys.argv[1], 'ready').touch()
time.sleep(3600)
"""


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Job]:
    """Return a maker of jobs that run a script in place of `mtctl VERB`."""
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        assert command[:4] == [sys.executable, "-m", "mtctl", "verb"]
        return popen([sys.executable, "-c", *command[4:]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    return lambda script, label="run": Job(label, tmp_path, ["verb", script, str(tmp_path)])


def never() -> bool:
    return False


def test_a_failed_run_does_not_stop_the_others(job: Callable[..., Job]) -> None:
    jobs = [
        job("import sys; print('error: no room', file=sys.stderr); sys.exit(2)"),
        job("pass"),
        job("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        job("pass"),
    ]
    launch(jobs, 2, lambda: None, never)
    assert [one.code for one in jobs] == [2, 0, -9, 0]
    assert jobs[0].log == "error: no room\n"
    assert [one.error for one in jobs[::2]] == ["error: no room", "killed by signal 9"]
    assert exit_code(jobs, stopped=False) == ExitCode.FAILED
    assert exit_code(jobs[1:2], stopped=False) == ExitCode.OK


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_run_at_a_time_than_asked(job: Callable[..., Job], parallel: int) -> None:
    jobs = [job("import time; time.sleep(0.3)") for _ in range(4)]
    seen = []
    launch(jobs, parallel, lambda: seen.append(sum(one.running for one in jobs)), never)
    assert max(seen) == parallel
    assert [one.code for one in jobs] == [0] * 4


def test_a_stop_is_passed_on_once_and_nothing_more_is_started(
    job: Callable[..., Job], tmp_path: Path
) -> None:
    jobs = [job(PATIENT), job(SLOW)]
    launch(jobs, 1, lambda: None, (tmp_path / "ready").exists)
    assert (tmp_path / "saved").exists()
    assert [one.code for one in jobs] == [130, None]
    assert jobs[1].process is None
    assert exit_code(jobs, stopped=True) == ExitCode.INTERRUPTED


def test_no_process_outlives_the_launcher(job: Callable[..., Job]) -> None:
    jobs = [job(SLOW), job(SLOW)]

    def watch() -> None:
        if all(one.process for one in jobs):
            raise KeyboardInterrupt  # the second Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        launch(jobs, 2, watch, never)
    for one in jobs:
        assert one.process is not None
        assert one.process.poll() == one.code == -15


def test_output_does_not_block_a_run(job: Callable[..., Job]) -> None:
    """More than a pipe holds, and nobody reads it before the end."""
    noisy = job("import sys; sys.stderr.write('x' * 1_000_000); print('y' * 1_000_000)")
    start = time.monotonic()
    launch([noisy], 1, lambda: None, lambda: time.monotonic() - start > 1800)
    assert noisy.code == 0
    assert len(noisy.log) == 1_000_000
    assert noisy.output == "y" * 1_000_000 + "\n"


def test_a_silent_failure_is_told_by_its_code(job: Callable[..., Job]) -> None:
    silent = job("import sys; sys.exit(3)")
    launch([silent], 1, lambda: None, never)
    assert silent.error == "exit code 3"
