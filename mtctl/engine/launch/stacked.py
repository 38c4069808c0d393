"""Runs of one shape in one local process, as one program; programs of several shapes one after the other."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path

from mtctl.engine.launch.launcher import State
from mtctl.engine.launch.local import LocalLauncher, LocalProcess
from mtctl.engine.launch.worker import TOGETHER, result_of
from mtctl.engine.result import RunResult, result_from_json
from mtctl.engine.spec import RunSpec, Spec, spec_to_json


class StackedRun:
    """A run of a program: a handle (see `mtctl.engine.launch.launcher`).

    Args:
        spec: of the run.
        place: in the program.
        program: trains it.
    """

    def __init__(self, spec: RunSpec, place: int, program: Program) -> None:
        self.spec: Spec = spec
        self.result: RunResult | None = None
        self._place, self._program = place, program

    @property
    def started(self) -> float | None:
        return self._program.started

    @property
    def delay(self) -> str:
        return self._program.delay

    @property
    def state(self) -> State:
        if self._program.process is None:
            return "waiting"
        return "running" if self.result is None else self.result.status

    def stop(self) -> None:
        if self._place == 0:  # a program is asked once, for all of its runs
            self._program.stop()


class Program(LocalProcess):
    """Runs of one shape, and the process that trains them."""

    def __init__(self, specs: Sequence[RunSpec], files: Path) -> None:
        super().__init__(specs[0], files)
        self.runs = [StackedRun(spec, place, self) for place, spec in enumerate(specs)]
        self.flags = (*self.flags, TOGETHER)

    def content(self) -> str:
        return json.dumps([spec_to_json(run.spec) for run in self.runs])

    def poll(self) -> None:
        """Take the results of runs that have ended, be the process at its end or not."""
        ended = self.process is not None and self.result is None and self.process.poll() is not None
        for place, run in enumerate(self.runs):
            if run.result is None and (file := result_of(self.results, place)).exists():
                run.result = result_from_json(file.read_text(encoding="utf-8"))
        super().poll()
        for run in self.runs:
            if ended and run.result is None:
                run.result = self.result

    def stop(self) -> None:
        self.cancelled = True
        self.signal(signal.SIGINT)


class StackLauncher(LocalLauncher):
    """Trains programs in processes of this machine, one at a time.

    Args:
        programs: the runs of each (see `mtctl.engine.shapes.programs`).
    """

    def __init__(self, programs: Sequence[Sequence[RunSpec]]) -> None:
        super().__init__(1)
        for place, specs in enumerate(programs):
            self._processes.append(Program(specs, self.folder / str(place)))

    def submit(self, spec: Spec) -> StackedRun:  # type: ignore[override]
        found = (run for program in self._programs for run in program.runs if run.spec is spec)
        return next(found)

    @property
    def _programs(self) -> list[Program]:
        return [process for process in self._processes if isinstance(process, Program)]
