"""What every launcher offers, wherever it lets runs execute: on this machine, a cluster, a queue.

A launcher gets a spec to an `execute` (or `evaluate_run`) somewhere and brings the result back, as data. What
a run has done so far is in its directory, which both sides must see: that is where progress is read from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, Literal, Protocol

from mtctl.engine.result import RunResult
from mtctl.engine.spec import Spec

State = Literal["waiting", "running", "completed", "interrupted", "failed"]
_POLL_SECONDS: Final = 0.2


class Handle(Protocol):
    """A spec that was submitted."""

    @property
    def spec(self) -> Spec:
        """What is to be done."""

    @property
    def state(self) -> State:
        """How it is; the last three words are those of a result."""

    @property
    def started(self) -> float | None:
        """When it started, in seconds since the epoch: older files in its directory are an earlier run's."""

    @property
    def result(self) -> RunResult | None:
        """What came of it, and its error if it failed; None before its end."""

    @property
    def delay(self) -> str:
        """Why it could not start when its turn had come; empty if nothing hindered it."""

    def stop(self) -> None:
        """Pass on that the user asks to stop, each time more urgently; what still waits is never started."""


class Launcher(Protocol):
    """Lets specs be executed."""

    def submit(self, spec: Spec) -> Handle:
        """Put a spec in line."""

    def poll(self) -> bool:
        """Start what has room, note what has ended; return whether there is anything left to wait for.

        Raises:
            MtctlError: nothing runs, and nothing can be started.
        """

    def close(self) -> None:
        """End what still runs, and wait for that."""


def follow(
    launcher: Launcher, handles: Iterable[Handle], watch: Callable[[], None], stop: Callable[[], int]
) -> None:
    """Wait for all that was submitted; a failure does not stop the others. Nothing is left behind.

    Args:
        launcher: of the handles.
        handles: that requests to stop are passed on to.
        watch: called several times a second, and after the end.
        stop: how often the user has asked to stop.

    Raises:
        MtctlError: not a single spec can be started.
    """
    told = 0
    try:
        while True:
            while told < stop():
                told += 1
                for handle in handles:
                    handle.stop()
            if not launcher.poll():
                break
            watch()
            time.sleep(_POLL_SECONDS)
    finally:
        launcher.close()
    watch()
