"""Commands as local processes: one process and one torch thread each, so many at a time."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from mtctl.errors import ExitCode

_POLL_SECONDS: Final = 0.2
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
    """

    label: str
    directory: Path
    arguments: Sequence[str]
    started: float | None = None
    code: int | None = None
    output: str = ""
    log: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _files: tuple[IO[bytes], IO[bytes]] | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        return self.process is not None and self.code is None

    @property
    def error(self) -> str:
        """What it said went wrong, without the lines of progress before it."""
        found = _ERROR.search(self.log)
        said = (found[0] if found else self.log).strip()
        killed = self.code is not None and self.code < 0
        return said or (f"killed by signal {-(self.code or 0)}" if killed else f"exit code {self.code}")

    def start(self) -> None:
        self.started = time.time()
        # Files, not pipes: a process may write more than a pipe holds before anybody reads it.
        self._files = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed by poll
        # A session of its own: the terminal's Ctrl-C reaches the parent alone, which passes on one signal.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mtctl", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._files[0],
            stderr=self._files[1],
            start_new_session=True,
        )

    def wait(self) -> None:
        """Let a process that has been told to stop come to its end."""
        if self.running and self.process is not None:
            self.process.wait()
            self.poll()

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
    stop: Callable[[], bool],
) -> None:
    """Run all jobs; a failed one does not stop the others.

    Args:
        jobs: in order of start.
        parallel: how many at a time.
        watch: called several times a second.
        stop: True passes SIGINT on to the running jobs once and starts no more; returns when those have
            ended.
    """
    told = False
    try:
        while any(job.running for job in jobs) or (not stop() and any(job.process is None for job in jobs)):
            for job in jobs:
                job.poll()
            if stop() and not told:
                told = True
                for job in jobs:
                    _signal(job, signal.SIGINT)
            free = parallel - sum(job.running for job in jobs)
            waiting = [job for job in jobs if job.process is None]
            for job in waiting[: 0 if stop() else max(0, free)]:
                job.start()
            watch()
            time.sleep(_POLL_SECONDS)
    finally:
        for job in jobs:
            _signal(job, signal.SIGTERM)
        for job in jobs:
            job.wait()
    watch()


def _signal(job: Job, number: signal.Signals) -> None:
    if job.running and job.process is not None and job.process.poll() is None:
        job.process.send_signal(number)


def exit_code(jobs: Sequence[Job], *, stopped: bool) -> ExitCode:
    """Return the exit code for all: interrupted if stopped, failed if any run failed."""
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if all(job.code == 0 for job in jobs) else ExitCode.FAILED
