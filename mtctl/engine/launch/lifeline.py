"""Children end with their parent, however it ends: they read a pipe whose other end only the parent holds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_TERMINAL: Final = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
"""What a terminal sends to all processes that it has started."""


class Lifeline:
    """A parent's end of the pipe, and the end that is the stdin of its children."""

    def __init__(self) -> None:
        self.stdin, self._held = os.pipe()  # neither is inherited, but for what a child is given as its stdin

    def close(self) -> None:
        """Let the pipe end: children that are still there are asked to stop."""
        os.close(self.stdin)
        os.close(self._held)


def follow_parent() -> None:
    """Ask this process, whose stdin is a lifeline, to stop as SIGTERM does once its parent is gone."""
    _when_ended(lambda: os.read(0, 1), lambda: signal.raise_signal(signal.SIGTERM))


def end_with_parent(lifeline: Connection) -> None:
    """In a child that has nothing to save, end at once when the parent is gone or closes the pipe."""
    _when_ended(lambda: lifeline.poll(None), lambda: os._exit(1))


def _when_ended(wait: Callable[[], object], then: Callable[[], None]) -> None:
    def watch() -> None:
        wait()
        then()

    Thread(target=watch, daemon=True).start()


def heed_signals() -> None:
    """Let requests to stop reach this process, also if who started it blocks them, as Ray does SIGINT."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Start processes that the terminal's signals do not reach: this one gets them, and tells the others.

    Where the system has no masks of signals, nothing changes.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
