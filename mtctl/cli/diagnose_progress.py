"""How far a diagnosis is: on a terminal in one line that tells the time, elsewhere a line for each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mtctl.diagnosis.plan import Plan
from mtctl.screens.figures import duration
from mtctl.terminal.console import err, redraws
from mtctl.text import show_text

if TYPE_CHECKING:
    from rich.text import Text


class Progress:
    """Counts the steps of a diagnosis, as they begin, against what is known to come.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text, self._began = "starting", clock()
        self._step = 0
        self._plan: Plan | None = None
        self._planned, self._stage = 0, self._began
        self._step_began = self._began

    def say(self, text: str) -> None:
        """Note that a step begins."""
        self._text, self._step_began = text, self._clock()
        self._step += 1

    def announce(self, plan: Plan) -> None:
        """Note what is to come after the step under way."""
        self._plan, self._planned, self._stage = plan, self._step, self._clock()

    def line(self) -> str:
        """Return the line: "9 of 21 · remedy: manual weights · 1:02 · about 2:40 left"."""
        parts = [show_text(self._text), duration(self._clock() - self._began)]
        if self._plan is not None and self._plan.steps:
            complete = self._plan.complete
            steps = (self._planned if complete else self._step) + self._plan.steps
            parts.insert(0, f"step {self._step} of {'' if complete else 'at least '}{steps}")
            parts.append(f"{'about' if complete else 'at least'} {duration(self._left())} left")
        elif self._step:
            parts.insert(0, f"step {self._step}")
        return " · ".join(parts)

    def _left(self) -> float:
        """Return the seconds that the known steps still take: by those that are done, or as announced."""
        assert self._plan is not None
        done = self._step - self._planned - 1
        if not self._plan.complete:
            return self._plan.seconds
        each = (self._step_began - self._stage) / done if done > 0 else self._plan.seconds / self._plan.steps
        return max(0.0, each * (self._plan.steps - max(done, 0)) - (self._clock() - self._step_began))

    def __rich__(self) -> Text:
        """Draw the line as it is at this moment."""
        from rich.text import Text

        return Text(self.line())


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """Give what is told how far a diagnosis is, and shows it on stderr."""
    console = err()
    shown = Progress()
    if quiet:
        yield shown
    elif redraws(console):
        with console.status(shown):
            yield shown
    else:
        yield _Lines(lambda text: console.print(text, soft_wrap=True))


class _Lines(Progress):
    """Prints each step as it begins."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show

    def say(self, text: str) -> None:
        self._show(text)
