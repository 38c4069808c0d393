"""Runs that other processes train, followed from their directories."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from mtctl.engine import layout
from mtctl.engine.launch.queue import queued
from mtctl.engine.launch.slurm import Queue, Scheduled
from mtctl.engine.lock import holder
from mtctl.errors import MtctlError
from mtctl.following.progress import Plan, Progress, Tail
from mtctl.history.formats import Run
from mtctl.history.runs import find_runs, read_run

Status = Literal[
    "queued", "starting", "running", "done", "interrupted", "failed", "stopped", "unknown", "unreadable"
]
"""`queued`: a process will train it, or a cluster. `stopped`: its process is gone and did not say why:
killed, or the machine went down. `unknown`: it may be so, or it is trained where this computer does not see
it."""

UNDER_WAY: Final = frozenset({"queued", "starting", "running"})


class Followed:
    """One run's directory, and what it tells from one look to the next.

    Args:
        path: the run's directory.
        clock: seconds; replaced in tests.

    Attributes:
        run: what run.json said last; None before there is one.
        progress: its course so far; None before run.json tells what it sets out to do.
        status: as of the last look.
        queued: whether a process has announced that it trains it.
        scheduled: what Slurm says of it; None if it says nothing.
        why: what went wrong with a run that failed or cannot be read; empty elsewhere.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.run: Run | None = None
        self.progress: Progress | None = None
        self.status: Status = "starting"
        self.why = ""
        self.queued = False
        self.scheduled: Scheduled | None = None
        self._clock = clock
        self._tail: Tail | None = None
        self._seen: tuple[int, int, int] | None = None
        self._damage = ""

    @property
    def under_way(self) -> bool:
        """Whether a process trains it, or is going to."""
        return self.status in UNDER_WAY

    @property
    def changed(self) -> float | None:
        """When run.json was last written, in seconds since the epoch; None before there is one."""
        return None if self._seen is None else self._seen[0] / 1e9

    def look(self) -> None:
        """Read what has come since the last look; the run itself is not touched."""
        self.why = ""
        try:
            self.status = self._look()
        except MtctlError as error:
            self.status, self.why = "unreadable", error.message
        except OSError as error:
            self.status, self.why = "unreadable", f"{error.filename or self.path}: {error.strerror or error}"

    def _look(self) -> Status:
        # In this order: a process writes how it ended before it lets its lock go.
        holding = holder(self.path)
        locked = holding.state == "held"
        state = None if self.scheduled is None else self.scheduled.state
        if state == "waiting" and not locked:
            self._read()
            return "queued"
        if not self._read():
            if state in ("failed", "lost") and not locked:
                self.why = self.scheduled.why if self.scheduled else ""
                return "failed"
            there = locked or state == "running"
            return "starting" if there else "queued" if self.queued else "stopped"
        assert self.run is not None
        self._follow(self.run)
        match self.run.status:
            case "completed":
                return "done"
            case "running" if state == "running":
                return "running"
            case "running" if holding.state == "unknown":
                self.why = "its lock does not show from here whether its process is alive"
                return "unknown"
            case "running":
                return "running" if locked else "stopped"
            case _ if locked:
                return "starting"  # it is being resumed
            case "failed":
                self.why = self.run.error.message if self.run.error else ""
                return "failed"
            case "interrupted":
                return "interrupted"

    def _read(self) -> bool:
        """Read run.json where it is new; return whether there is one."""
        file = self.path / layout.RUN
        try:
            state = file.stat()
        except FileNotFoundError:
            self._seen = None
            return False
        seen = state.st_mtime_ns, state.st_size, state.st_ino
        if self._seen != seen:
            before, self.run = self.run, read_run(self.path)
            self._seen = seen
            if before is None or before.started != self.run.started:
                self._begin(self.run)
            elif self.progress is not None:  # a loop may not know beforehand how many there will be
                self.progress.units = self.run.budget.units
        return True

    def _begin(self, run: Run) -> None:
        self.progress = Progress(Plan.of_run(run), self._clock)
        self._tail = Tail(self.path / layout.METRICS, self.progress, run.schema_number)
        self._damage = ""

    def _follow(self, run: Run) -> None:
        assert self._tail is not None
        try:
            self._tail.follow()
            if self._tail.lost:
                self._begin(run)
                self._tail.follow()
        except MtctlError as error:
            self._damage = error.message
        if self._damage:
            raise MtctlError(self._damage)


class Following:
    """All runs below some paths; new ones are found as they appear.

    Args:
        paths: run directories, recipe folders or results roots; a folder may be empty still.
        clock: seconds; replaced in tests.

    Attributes:
        runs: in the order of the paths, seeds counted upwards.
    """

    def __init__(self, paths: Iterable[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._paths, self._clock = list(paths), clock
        self._queue = Queue(clock)
        self._by_path: dict[Path, Followed] = {}
        self.runs: Sequence[Followed] = ()
        self._find()

    def look(self) -> None:
        """Look for new runs, and at all of them."""
        with suppress(MtctlError):  # a folder that went away while it was read; the next look will tell
            self._find()
        for run in self.runs:
            run.look()

    @property
    def under_way(self) -> list[Followed]:
        """The runs that a process trains, or is going to."""
        return [run for run in self.runs if run.under_way]

    def _find(self) -> None:
        """Find the runs that are there now; those that were removed are forgotten.

        Raises:
            MtctlError: a path does not exist, or is a file.
        """
        there = find_runs(self._paths, may_be_none=True)
        announced = list(self._announced())
        scheduled = {each.path: each for each in self._scheduled()}
        paths = dict.fromkeys((*there, *announced, *scheduled))
        self._by_path = {path: self._by_path.get(path) or Followed(path, self._clock) for path in paths}
        for path, run in self._by_path.items():
            run.queued, run.scheduled = path in announced, scheduled.get(path)
        self.runs = list(self._by_path.values())

    def _announced(self) -> Iterator[Path]:
        """Yield the runs that processes have announced, of those that are followed."""
        for path, root in self._roots():
            yield from (run for run in queued(root) if run.is_relative_to(path))

    def _scheduled(self) -> Iterator[Scheduled]:
        """Yield the runs that were handed to Slurm, of those that are followed."""
        for path, root in self._roots():
            yield from (run for run in self._queue.scheduled(root) if run.path.is_relative_to(path))

    def _roots(self) -> Iterator[tuple[Path, Path]]:
        """Yield each path with what may be the folder of results that it is in."""
        for path in self._paths:
            yield from ((path, root) for root in (path, path.parent, path.parent.parent))
