"""The local launcher, with processes that are quicker than training."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import mtctl
from mtctl.engine.launch import lifeline, local
from mtctl.engine.launch.local import Job, exit_code, launch
from mtctl.errors import ExitCode, MtctlError

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


def test_each_request_is_passed_on(job: Callable[..., Job], tmp_path: Path) -> None:
    """The second one, too: a child leaves the unit that it was finishing."""
    thorough = job("""
import pathlib, signal, sys, time
asked = []
def ask(*_):
    asked.append(1)
    pathlib.Path(sys.argv[1], f'asked{len(asked)}').touch()
    if len(asked) == 2: sys.exit(130)
signal.signal(signal.SIGINT, ask)
pathlib.Path(sys.argv[1], 'ready').touch()
while True: time.sleep(60)
""")
    launch(
        [thorough], 1, lambda: None, lambda: sum((tmp_path / name).exists() for name in ("ready", "asked1"))
    )
    assert (thorough.code, thorough.stopped) == (130, True)
    assert (tmp_path / "asked2").exists()


def test_who_does_not_leave_is_ended(job: Callable[..., Job], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(local, "_PATIENCE", (0.1, 0.1))
    deaf = job("""
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1], 'ready').touch()
time.sleep(600)
""")

    def watch() -> None:
        if (tmp_path / "ready").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch([deaf], 1, watch, never)
    assert deaf.code == -9


PARENT = """
import subprocess, sys, time
from pathlib import Path
from mtctl.engine.launch import local
popen = subprocess.Popen
subprocess.Popen = lambda command, **options: popen([sys.executable, "-c", *command[4:]], **options)
jobs = [local.Job("run", Path(), ["verb", Path("child.py").read_text(), str(n)]) for n in range(2)]
local.launch(jobs, 2, lambda: print("turn", flush=True), lambda: 0)
"""
CHILD = """
import pathlib, signal, sys, time
from mtctl.engine.launch.lifeline import follow_parent
def leave(*_): pathlib.Path(f"saved{sys.argv[1]}").touch(); sys.exit(130)
signal.signal(signal.SIGTERM, leave)
follow_parent()
pathlib.Path(f"ready{sys.argv[1]}").touch()
while True: time.sleep(0.1)
"""


def test_children_stop_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": str(Path(mtctl.__file__).parents[1])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    )
    _wait_for([tmp_path / "ready0", tmp_path / "ready1"], parent)
    parent.kill()
    parent.wait()
    _wait_for([tmp_path / "saved0", tmp_path / "saved1"])


def _wait_for(files: list[Path], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 120
    while not all(file.exists() for file in files):
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.02)


def test_a_process_that_is_no_child_reads_no_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lifeline.VARIABLE, raising=False)
    monkeypatch.setattr(lifeline, "Thread", None)
    lifeline.follow_parent()


def idle(reader: Connection) -> None:
    lifeline.end_with_parent(reader)
    time.sleep(600)


def test_a_worker_ends_with_the_pipe_that_it_is_given() -> None:
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with lifeline.blocked_signals():
        worker = context.Process(target=idle, args=(reader,))
        worker.start()
    writer.close()
    worker.join(120)
    assert worker.exitcode == 1
    reader.close()


def test_signals_are_blocked_for_as_long_as_processes_are_started() -> None:
    def blocked() -> set[int]:
        return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    before = blocked()
    with lifeline.blocked_signals():
        assert blocked() == before | {signal.SIGINT, signal.SIGHUP}
    assert blocked() == before


def scarce(most: int, monkeypatch: pytest.MonkeyPatch, jobs: list[Job]) -> None:
    """Let the system refuse more processes than that at a time."""
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        if sum(job.running for job in jobs) >= most:
            raise OSError(errno.EMFILE, "Too many open files")
        return popen(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", start)


def test_fewer_at_a_time_where_the_system_allows_no_more(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job("import time; time.sleep(0.3)") for _ in range(4)]
    scarce(2, monkeypatch, jobs)
    seen = []
    launch(jobs, 4, lambda: seen.append(sum(one.running for one in jobs)), never)
    assert [one.code for one in jobs] == [0] * 4
    assert max(seen) == 2
    assert [one.delay for one in jobs] == [
        "", "", "only 2 at a time: no further process can be started (Too many open files)", "",
    ]  # fmt: skip


def test_no_process_at_all(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job("pass")]
    scarce(0, monkeypatch, jobs)
    with pytest.raises(MtctlError, match="run: no process can be started") as refused:
        launch(jobs, 1, lambda: None, never)
    assert "ulimit" in str(refused.value.hint)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_descriptors_are_given_back(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job("import sys; sys.exit(1)") for _ in range(3)]
    before = list(Path("/proc/self/fd").iterdir())
    launch(jobs, 2, lambda: None, never)
    jobs = [job("pass")]
    scarce(0, monkeypatch, jobs)
    with pytest.raises(MtctlError):
        launch(jobs, 1, lambda: None, never)
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


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
