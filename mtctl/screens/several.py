"""How runs that are executed side by side are followed on screen: lines as things happen, or a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich import live
from rich.console import RenderableType
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
    """Says what there is to say of each handle, every line once, below a picture where it can be redrawn.

    Args:
        handles: in the order of the picture.
        quiet: no picture.
        transient: the picture goes away in the end.
    """

    def __init__(self, handles: Sequence[Handle], *, quiet: bool, transient: bool = False) -> None:
        self.handles, self._console, self._said = handles, err(), set[str]()
        picture = live.Live(console=self._console, auto_refresh=False, transient=transient)
        self.live = picture if redraws(self._console) and not quiet else None

    def news(self, handle: Handle) -> Iterator[str]:
        """Yield lines about a handle; those that were said before are not said again."""
        raise NotImplementedError

    def picture(self) -> RenderableType:
        """Return what is drawn."""
        raise NotImplementedError

    def __enter__(self) -> Several:
        if self.live is not None:
            self.live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.live is not None:
            self.live.__exit__(None, None, None)

    def look(self) -> None:
        """Show what is new."""
        for text in [text for handle in self.handles for text in self.news(handle)]:
            self.say(text)
        if self.live is not None:
            self.live.update(self.picture(), refresh=True)

    def say(self, text: str) -> None:
        """Print a line that was not printed before."""
        if text not in self._said:
            self._said.add(text)
            self._console.print(Text(text), soft_wrap=True)


class SeveralTrained(Several):
    """Shows runs that are trained: how far they are, and how they ended; in the end only, below a table."""

    def __init__(self, runs: Sequence[Launched], *, quiet: bool) -> None:
        super().__init__([run.handle for run in runs], quiet=quiet)
        self._runs = {run.spec.label: (run, Dues(run.progress, LINES_OF_SEVERAL)) for run in runs}

    def news(self, handle: Handle) -> Iterator[str]:
        label = handle.spec.label
        run, dues = self._runs[label]
        run.look()
        if self.live is not None:
            return
        if handle.delay:
            yield f"{label}  {handle.delay}"
        if dues.due(run.progress.done):
            yield f"{label}  {line(run.progress)}"
        if handle.result is not None:
            yield ending(handle)

    def picture(self) -> RenderableType:
        runs = self._runs.values()
        return runs_screen([(run.progress, _word(run.handle.state)) for run, _ in runs])

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        for handle in self.handles if self.live is not None else ():
            if handle.result is not None and (handle.result.notes or handle.result.error):
                self.say(ending(handle))


def ending(handle: Handle) -> str:
    """Say how a run ended: what was noted of it, or its error."""
    result, spec = handle.result, handle.spec
    assert result is not None
    if result.error is not None:
        return f"{spec.label}  failed: {_error_text(result.error)}"
    notes = [f"{spec.directory} {note.text}" for note in result.notes]
    return "\n".join([*notes, f"{spec.label}  {_word(handle.state)}"])


def _word(state: State) -> str:
    return _WORDS.get(state, state)


def _error_text(error: RunError) -> str:
    hint = f"\nhint: {show_lines(error.hint)}" if error.hint else ""
    return f"{_LABELS.get(error.kind, 'error: ')}{show_lines(error.message)}{hint}"
