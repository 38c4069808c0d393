"""Specs in local processes: one process and one torch thread each, so many at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from mtctl.engine.launch.launcher import State
from mtctl.engine.launch.lifeline import Lifeline
from mtctl.engine.result import RunError, RunResult, result_from_json
from mtctl.engine.spec import Spec, spec_to_json
from mtctl.errors import ExitCode, MtctlError

WORKER: Final = ("-m", "mtctl.engine.launch.worker")
_POLL_SECONDS: Final = 0.02
_KILLED: Final = -9
"""Exit code after SIGKILL, which is what Linux sends where it has no memory left."""
_PATIENCE: Final = (5.0, 10.0, 15.0)
"""Seconds that processes are given to save and leave, after each request, once nobody waits for them."""


class LocalProcess:
    """A spec, and the process that executes it: a handle (see `mtctl.engine.launch.launcher`).

    Args:
        spec: goes to the process as JSON in a file, as its result comes back.
        files: where these files go; their names begin so.
    """

    def __init__(self, spec: Spec, files: Path) -> None:
        self.spec = spec
        self.started: float | None = None
        self.result: RunResult | None = None
        self.delay = ""
        self.cancelled = False
        self.process: subprocess.Popen[bytes] | None = None
        self._spec, self.results, self._log = (
            files.with_suffix(f".{kind}") for kind in ("spec", "result", "log")
        )
        self.flags: tuple[str, ...] = ("--with-parent",)

    @property
    def state(self) -> State:
        if self.process is None:
            return "waiting"
        return "running" if self.result is None else self.result.status

    def start(self, lifeline: Lifeline) -> None:
        """Start the process, which ends with this one.

        Raises:
            OSError: the system has no room for a further process or its files.
        """
        self._spec.write_text(self.content(), encoding="utf-8")
        began = time.time()
        with self._log.open("wb") as log:
            # A session of its own: the terminal's Ctrl-C reaches the parent alone, which passes it on.
            self.process = subprocess.Popen(
                [sys.executable, *WORKER, str(self._spec), str(self.results), *self.flags],
                stdin=lifeline.stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started = began

    def content(self) -> str:
        """Return what the process is told to do."""
        return spec_to_json(self.spec)

    def poll(self) -> None:
        """Take the result, if the process has ended."""
        if self.process is not None and self.result is None and (code := self.process.poll()) is not None:
            self.result = self._outcome(code)

    def stop(self) -> None:
        self.cancelled = True
        self.signal(signal.SIGINT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if there is one."""
        if self.process is not None and self.result is None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None and self.result is None:
            self.process.kill()
            self.process.wait()
            self.poll()

    def _outcome(self, code: int) -> RunResult:
        """Return the result; of a process that has written none, what its end tells."""
        if self.results.exists():
            return result_from_json(self.results.read_text(encoding="utf-8"))
        if code in (ExitCode.INTERRUPTED, -signal.SIGINT, -signal.SIGTERM):  # as it was starting
            return RunResult("interrupted")
        if code == _KILLED:
            hint = "the system may have run out of memory; use fewer --jobs"
            return RunResult("failed", error=RunError("killed", f"killed by signal {-code}", hint))
        message = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return RunResult("failed", error=RunError("killed", ": ".join([message, *said[-1:]])))


class LocalLauncher:
    """Executes specs in processes of this machine, in the order of their submission.

    No process outlives this one, however it ends.

    Args:
        parallel: how many at a time.
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._processes: list[LocalProcess] = []
        self._folder = tempfile.TemporaryDirectory(prefix="mtctl-")
        self._lifeline = Lifeline()

    @property
    def folder(self) -> Path:
        """Where the processes' files go."""
        return Path(self._folder.name)

    def submit(self, spec: Spec) -> LocalProcess:
        process = LocalProcess(spec, self.folder / str(len(self._processes)))
        self._processes.append(process)
        return process

    def poll(self) -> bool:
        for process in self._running:
            process.poll()
        for process in self._processes:
            if process.process is not None or process.cancelled:
                continue
            running = len(self._running)
            if running >= self._parallel:
                break
            self._start(process, running)
        return bool(self._running)

    def close(self) -> None:
        """Ask what still runs to stop, more urgently each time; in the end, do not ask."""
        for seconds in _PATIENCE:
            for process in self._running:
                process.signal(signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while self._running and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                for process in self._running:
                    process.poll()
        for process in self._running:
            process.kill()
        self._lifeline.close()
        self._folder.cleanup()

    @property
    def _running(self) -> list[LocalProcess]:
        return [process for process in self._processes if process.state == "running"]

    def _start(self, process: LocalProcess, running: int) -> None:
        """Start a process, or note that the system has room for no more than are running."""
        try:
            process.start(self._lifeline)
        except OSError as error:
            reason = error.strerror or str(error)
            if not running:
                raise MtctlError(
                    f"{process.spec.label}: no process can be started ({reason})",
                    hint="end other processes, or raise the limits that `ulimit -a` shows",
                ) from error
            process.delay = f"only {running} in parallel: no further process can be started ({reason})"
            self._parallel = running
