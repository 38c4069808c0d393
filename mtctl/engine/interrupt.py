"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): how urgently a user asks to stop.

The first request lets what is being played come to its end, the second leaves it, and both save. The third
leaves at once, whatever is being done.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

_SIGNALS: Final = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_LEAVE: Final = 3
"""Requests after which nothing is waited for."""


class Stopped(KeyboardInterrupt):
    """What was under way has been left in its midst, in a place where that loses nothing."""


class Stop:
    """How often the user has asked to stop. Called, it returns that.

    Args:
        notify: gets the number of a request, to tell the user what happens now.

    Attributes:
        requests: so far.
    """

    def __init__(self, notify: Callable[[int], None] = lambda _: None) -> None:
        self.requests = 0
        self._notify = notify
        self._limit: float = math.inf

    def __call__(self) -> int:
        return self.requests

    def now(self) -> bool:
        """Say whether the unit that is under way is to be left."""
        return self.requests > 1

    @contextmanager
    def leaving(self, requests: int) -> Iterator[None]:
        """Let this many requests in all end what is done here by `Stopped`: it must leave nothing behind."""
        before, self._limit = self._limit, requests
        try:
            if self.requests >= requests:
                raise Stopped
            yield
        finally:
            self._limit = before

    def ask(self) -> None:
        """Ask once more.

        Raises:
            Stopped: what is being done can be left.
            KeyboardInterrupt: asked for the third time.
        """
        self.requests += 1
        # The terminal may be gone, or be in the midst of printing: neither may keep a run from saving.
        with suppress(OSError, RuntimeError):
            self._notify(self.requests)
        if self.requests >= _LEAVE:
            raise KeyboardInterrupt
        if self.requests >= self._limit:
            raise Stopped


@contextmanager
def stop_on_signals(notify: Callable[[int], None] = lambda _: None) -> Iterator[Stop]:
    """Yield what counts the user's requests to stop; needs the main thread.

    SIGHUP that the process was started to ignore, as `nohup` does, stays ignored.

    Args:
        notify: gets the number of a request, to tell the user what happens now.
    """
    stop = Stop(notify)

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.ask()

    before = {
        number: signal.getsignal(number)
        for number in _SIGNALS
        if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) != signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
