"""`mtctl compare --watch`: runs that are under way, until the last of them has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from mtctl.following.progress import Progress
from mtctl.following.runs import Followed, Following
from mtctl.screens.live import LINES_OF_SEVERAL, Dues
from mtctl.screens.watch import summary, trouble, watch_line, watch_screen
from mtctl.terminal.console import err, redraws

PAUSE_SECONDS: Final = 15.0
"""Between the end of one run and the first trace of the next of the same command: a process that starts,
imports torch and builds its problem takes up to 10 seconds on a busy machine."""


def watch(paths: Sequence[Path], interval: float) -> None:
    """Show the runs below some paths until none is under way, on stderr; return then.

    On a terminal the picture is redrawn; elsewhere a line is printed for each change, and some 15 for each
    run's progress. The runs are only looked at. One whose process is gone is not waited for.

    Args:
        paths: run directories, recipe folders or results roots; a folder that holds no run yet is waited for.
        interval: seconds between two looks.

    Raises:
        MtctlError: a path does not exist, or is a file.
        KeyboardInterrupt: the user has left.
    """
    from rich.live import Live

    following, console = Following(paths), err()
    live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
    lines, pause = _Lines(), _Pause(following)
    try:
        with live if redraws(console) else nullcontext():
            while True:
                following.look()
                left = pause.left()
                if redraws(console):
                    live.update(watch_screen(following.runs, left), refresh=True)
                else:
                    for text in lines.news(following.runs, left):
                        console.print(text, soft_wrap=True)
                if left == 0:
                    return
                time.sleep(interval if left is None else min(interval, left))
    except KeyboardInterrupt:
        console.print("stopped watching; the runs go on", soft_wrap=True)
        raise


class _Pause:
    """How long no run has been under way."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._since: float | None = None
        self._first = True

    def left(self) -> float | None:
        """Return the seconds until the watch is over; None while a run is under way, or none has begun."""
        first, self._first = self._first, False
        if self._following.under_way or not self._following.runs:
            self._since = None
            return None
        if self._since is None:
            # What had ended before the first look ended then, not now.
            self._since = time.monotonic() - (self._age() if first else 0.0)
        return max(0.0, self._since + PAUSE_SECONDS - time.monotonic())

    def _age(self) -> float:
        changes = [change for run in self._following.runs if (change := run.changed) is not None]
        return max(0.0, time.time() - max(changes)) if changes else 0.0


class _Lines:
    """What is said where nothing can be redrawn."""

    def __init__(self) -> None:
        self._status: dict[Path, str] = {}
        self._dues: dict[Path, tuple[Progress, Dues]] = {}
        self._ending = False

    def news(self, runs: Sequence[Followed], left: float | None) -> list[str]:
        """Return the lines that have become due."""
        texts = [text for run in runs for text in self._of(run)]
        if (left is not None or not runs) and not self._ending:
            texts.append(summary(runs, left))
        self._ending = left is not None or not runs
        return texts

    def _of(self, run: Followed) -> list[str]:
        texts = []
        if self._status.get(run.path) != run.status:
            self._status[run.path] = run.status
            self._due(run)  # said with the status
            far = f"  {watch_line(run.progress)}" if run.progress is not None and run.under_way else ""
            texts.append(trouble(run) or f"{run.path} {run.status}{far}")
        elif run.under_way and run.progress is not None and self._due(run):
            texts.append(f"{run.path} {watch_line(run.progress)}")
        return texts

    def _due(self, run: Followed) -> bool:
        if run.progress is None:
            return False
        known = self._dues.get(run.path)
        if known is None or known[0] is not run.progress:
            self._dues[run.path] = run.progress, Dues(run.progress, LINES_OF_SEVERAL)
        return self._dues[run.path][1].due(run.progress.done)
