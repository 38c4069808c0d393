"""How several runs are followed on screen: one table that is redrawn, or lines now and then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import live
from rich.text import Text

from mtctl.engine.launch.launcher import Handle, State
from mtctl.engine.result import RunError
from mtctl.following.launched import Launched
from mtctl.screens.live import LINES_OF_SEVERAL, Dues
from mtctl.screens.train import line, runs_screen
from mtctl.terminal.console import err, redraws
from mtctl.text import show_lines

_LABELS: Final = {"internal": "internal error: ", "killed": ""}
_WORDS: Final[dict[State, str]] = {"completed": "done", "interrupted": "stopped"}


class Several:
    """Shows runs side by side; what ended and why is said in lines, below the table if there is one.

    Args:
        runs: in the order of the table.
        quiet: lines only.
    """

    def __init__(self, runs: Sequence[Launched], *, quiet: bool) -> None:
        self._runs, self._console = runs, err()
        drawn = not quiet and redraws(self._console)
        self._live = live.Live(console=self._console, auto_refresh=False) if drawn else None
        self._dues = [Dues(run.progress, LINES_OF_SEVERAL) for run in runs]
        self._said: set[str] = set()

    def __enter__(self) -> Several:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is None:
            return
        self._live.__exit__(None, None, None)
        for run in self._runs:
            result = run.handle.result
            if result is not None and (result.notes or result.error):
                self._say(ending(run.handle))

    def look(self) -> None:
        """Look at all runs, and show what is new."""
        for run in self._runs:
            run.look()
        if self._live is not None:
            rows = [(run.progress, word(run.handle.state)) for run in self._runs]
            self._live.update(runs_screen(rows), refresh=True)
            return
        for run, dues in zip(self._runs, self._dues, strict=True):
            label, handle = run.spec.label, run.handle
            if handle.delay:
                self._say(f"{label}  {handle.delay}", once=f"{label} delay")
            if dues.due(run.progress.done):
                self._say(f"{label}  {line(run.progress)}")
            if handle.result is not None:
                self._say(ending(handle), once=label)

    def _say(self, text: str, once: str | None = None) -> None:
        if once is not None and once in self._said:
            return
        self._said.update([] if once is None else [once])
        self._console.print(Text(text), soft_wrap=True)


def word(state: State) -> str:
    """Return the word for a state that a person reads."""
    return _WORDS.get(state, state)


def ending(handle: Handle) -> str:
    """Say how a run ended: what was noted of it, or its error."""
    result, spec = handle.result, handle.spec
    assert result is not None
    if result.error is not None:
        return f"{spec.label}  failed: {error_text(result.error)}"
    notes = [f"{spec.directory} {note.text}" for note in result.notes]
    return "\n".join([*notes, f"{spec.label}  {word(handle.state)}"])


def error_text(error: RunError) -> str:
    """Return an error, and what to do about it, as lines."""
    hint = f"\nhint: {show_lines(error.hint)}" if error.hint else ""
    return f"{_LABELS.get(error.kind, 'error: ')}{show_lines(error.message)}{hint}"
