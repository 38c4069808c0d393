"""Commands as local processes: one process and one torch thread each, so many at a time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from mtctl.engine.launch.lifeline import VARIABLE, Lifeline
from mtctl.errors import ExitCode, MtctlError

_POLL_SECONDS: Final = 0.2
_PATIENCE: Final = (5.0, 10.0, 15.0)
"""Seconds that jobs are given to save and leave, after each request, once nobody waits for their results."""
_ERROR: Final = re.compile(r"^(internal )?error: .*", re.MULTILINE | re.DOTALL)


@dataclass
class Job:
    """What is done with one run in a process of its own.

    Args:
        label: what a person calls it.
        directory: the run's directory.
        arguments: of `mtctl`, the verb first, for exactly this run.

    Attributes:
        started: when, in seconds since the epoch.
        code: exit code once it has ended; negative after a signal, as `subprocess` has it.
        output: what it wrote to stdout, once it has ended.
        log: what it wrote to stderr, once it has ended.
        delay: why the system did not let it start when its turn had come.
    """

    label: str
    directory: Path
    arguments: Sequence[str]
    started: float | None = None
    code: int | None = None
    output: str = ""
    log: str = ""
    delay: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _files: tuple[IO[bytes], IO[bytes]] | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        return self.process is not None and self.code is None

    @property
    def stopped(self) -> bool:
        """Whether it has ended because it was asked to: by itself, or by the signal as it was starting."""
        return self.code in (ExitCode.INTERRUPTED, -signal.SIGINT, -signal.SIGTERM)

    @property
    def error(self) -> str:
        """What it said went wrong, without the lines of progress before it."""
        found = _ERROR.search(self.log)
        said = (found[0] if found else self.log).strip()
        killed = self.code is not None and self.code < 0
        return said or (f"killed by signal {-(self.code or 0)}" if killed else f"exit code {self.code}")

    def start(self, lifeline: Lifeline) -> None:
        """Start the process, which ends with this one.

        Raises:
            OSError: the system has no room for a further process or its files.
        """
        with ExitStack() as opened:
            # Files, not pipes: a process may write more than a pipe holds before anybody reads it.
            files = (
                opened.enter_context(tempfile.TemporaryFile()),
                opened.enter_context(tempfile.TemporaryFile()),
            )
            began = time.time()
            # A session of its own: the terminal's Ctrl-C reaches the parent alone, which passes it on.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mtctl", *self.arguments],
                stdin=lifeline.stdin,
                stdout=files[0],
                stderr=files[1],
                env={**os.environ, VARIABLE: "1"},
                start_new_session=True,
            )
            self.started, self._files = began, files
            opened.pop_all()

    def poll(self) -> None:
        """Note the end of the process, if it has ended."""
        if not self.running or self.process is None or self._files is None or self.process.poll() is None:
            return
        self.code = self.process.returncode
        self.output, self.log = map(_take, self._files)


def _take(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")


def launch(
    jobs: Sequence[Job],
    parallel: int,
    watch: Callable[[], None],
    stop: Callable[[], int],
) -> None:
    """Run all jobs; a failed one does not stop the others. None outlives this process, however it ends.

    Args:
        jobs: in order of start.
        parallel: how many at a time.
        watch: called several times a second.
        stop: how often the user has asked to stop: each request is passed on to the running jobs, and no more
            are started; returns when those have ended.

    Raises:
        MtctlError: the system has no room for a single process.
    """
    lifeline = Lifeline()
    told = 0
    try:
        while any(job.running for job in jobs) or (not stop() and any(job.process is None for job in jobs)):
            for job in jobs:
                job.poll()
            while told < stop():
                told += 1
                _signal(jobs, signal.SIGINT)
            if not stop():
                parallel = _start_more(jobs, parallel, lifeline)
            watch()
            time.sleep(_POLL_SECONDS)
    finally:
        _end(jobs)
        lifeline.close()
    watch()


def _start_more(jobs: Sequence[Job], parallel: int, lifeline: Lifeline) -> int:
    """Start what is waiting and has room; return how many have room at a time."""
    running = sum(job.running for job in jobs)
    for job in [job for job in jobs if job.process is None][: max(0, parallel - running)]:
        try:
            job.start(lifeline)
        except OSError as error:
            reason = error.strerror or str(error)
            if not running:
                raise MtctlError(
                    f"{job.label}: no process can be started ({reason})",
                    hint="end other processes, or raise the limits that `ulimit -a` shows",
                ) from error
            job.delay = f"only {running} at a time: no further process can be started ({reason})"
            return running
        running += 1
    return parallel


def _end(jobs: Sequence[Job]) -> None:
    """Ask what still runs to stop, more urgently each time; in the end, do not ask."""
    for seconds in _PATIENCE:
        _signal(jobs, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(job.running for job in jobs) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 10)
            for job in jobs:
                job.poll()
    for job in jobs:
        if job.running and job.process is not None:
            job.process.kill()
            job.process.wait()
            job.poll()


def _signal(jobs: Sequence[Job], number: signal.Signals) -> None:
    for job in jobs:
        if job.running and job.process is not None and job.process.poll() is None:
            job.process.send_signal(number)


def exit_code(jobs: Sequence[Job], *, stopped: bool) -> ExitCode:
    """Return the exit code for all: interrupted if stopped, failed if any run failed."""
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if all(job.code == 0 for job in jobs) else ExitCode.FAILED
